/**
 * The C library of Linux through Deno's FFI, for what Deno itself does not offer.
 *
 * @module
 */

/**
 * Loads functions of the C library.
 *
 * @returns `null` if there is another C library, or no permission for FFI
 */
export function openLibC<const S extends Deno.ForeignLibraryInterface>(symbols: S): Deno.DynamicLibrary<S> | null {
  try {
    return Deno.dlopen("libc.so.6", symbols);
  } catch (error) {
    if (error instanceof Error) return null;
    throw error;
  }
}

// <sys/socket.h>, the same on x86-64 and AArch64.

/** Unix sockets. */
export const AF_UNIX = 1;

/** socket(2). */
export const SOCKET = { parameters: ["i32", "i32", "i32"], result: "i32" } as const;

/** close(2). */
export const CLOSE = { parameters: ["i32"], result: "i32" } as const;

/** Closes the descriptor in a program that this process becomes; also the value of `O_CLOEXEC`. */
export const SOCK_CLOEXEC = 0o2000000;
