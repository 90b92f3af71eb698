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

/** `SOCK_CLOEXEC` of <sys/socket.h>. */
export const SOCK_CLOEXEC = 0o2000000;
