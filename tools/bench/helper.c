/*
 * The parts of the benchmark that must cost next to nothing. Times are CLOCK_MONOTONIC, in nanoseconds; a stamp is a line
 * "LABEL NANOSECONDS PID" that is appended to FILE.
 *
 *   helper stamp FILE LABEL [COMMAND...]   stamps LABEL, and becomes COMMAND
 *   helper span FILE LABEL COMMAND...      runs COMMAND between the stamps LABEL and LABEL-end; exits as it does
 *   helper observe FILE PORT               stamps "accept" at the first connection; looks every 0.2 ms
 *   helper gone FILE PID...                stamps "gone" with each process's own pid as it ends
 *   helper late PORT MS                    a server that listens exactly MS milliseconds after it began
 *   helper crash FILE                      a server that says why, stamps "crash", and exits with 1
 *   helper limit PIDFILE PORT COMMAND...   the limit: fork, exec, connect every millisecond, without any safety
 *   helper limit-stop PIDFILE              the limit of a stop: SIGTERM to the group, look every millisecond
 *   helper reaper COMMAND...               runs COMMAND, and waits for whatever is orphaned below it, as an init does
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void sleep_until(long long at) {
  struct timespec t = { at / 1000000000LL, at % 1000000000LL };
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0);
}

static void stamp(const char *file, const char *label, long long at, int pid) {
  char line[256];
  int size = snprintf(line, sizeof line, "%s %lld %d\n", label, at, pid);
  int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, line, size) != size) {
    perror(file);
    exit(2);
  }
  close(fd);
}

static void become(char **command) {
  execvp(command[0], command);
  perror(command[0]);
  _exit(127);
}

static int exit_code(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static struct sockaddr_in loopback(const char *port) {
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static int accepts(const struct sockaddr_in *address) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int connected = connect(fd, (const void *) address, sizeof *address) == 0;
  close(fd);
  return connected;
}

static int span(const char *file, const char *label, char **command) {
  char end[128];
  snprintf(end, sizeof end, "%s-end", label);
  stamp(file, label, now(), getpid());
  pid_t pid = fork();
  if (pid == 0) become(command);
  int status;
  waitpid(pid, &status, 0);
  stamp(file, end, now(), exit_code(status));
  return exit_code(status);
}

static int observe(const char *file, const char *port) {
  struct sockaddr_in address = loopback(port);
  prctl(PR_SET_TIMERSLACK, 1);
  setpriority(PRIO_PROCESS, 0, -5);
  for (long long begun = now(), at = begun; at < begun + 40000000000LL; at = now()) {
    if (accepts(&address)) {
      stamp(file, "accept", now(), getpid());
      return 0;
    }
    if (at == begun && write(1, "go\n", 3) != 3) return 2;
    sleep_until(at + 200000);
  }
  return 1;
}

static int gone(const char *file, int count, char **pids) {
  struct pollfd fds[64];
  if (count > 64) return 2;
  for (int i = 0; i < count; i++) {
    fds[i].fd = syscall(SYS_pidfd_open, atoi(pids[i]), 0);
    fds[i].events = POLLIN;
    if (fds[i].fd < 0) stamp(file, "gone", now(), atoi(pids[i]));
  }
  if (write(1, "go\n", 3) != 3) return 2;
  for (int left = count; left > 0;) {
    left = 0;
    if (poll(fds, count, 20000) <= 0) return 1;
    for (int i = 0; i < count; i++) {
      if (fds[i].fd >= 0 && fds[i].revents != 0) {
        stamp(file, "gone", now(), atoi(pids[i]));
        fds[i].fd = -1;
      }
      left += fds[i].fd >= 0;
    }
  }
  return 0;
}

static int late(const char *port, long ms) {
  long long begun = now();
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = loopback(port);
  prctl(PR_SET_TIMERSLACK, 1);
  signal(SIGPIPE, SIG_IGN);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sleep_until(begun + ms * 1000000LL);
  if (bind(fd, (void *) &address, sizeof address) || listen(fd, 128)) {
    perror("bind");
    return 1;
  }
  for (;;) {
    int client = accept(fd, 0, 0);
    struct timeval second = { 1, 0 };
    char request[4096];
    if (client < 0) continue;
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    if (read(client, request, sizeof request) > 0) {
      const char *answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
      if (write(client, answer, strlen(answer)) < 0) perror("write");
    }
    close(client);
  }
}

static int crash(const char *file) {
  fputs("cannot read its configuration\n", stderr);
  stamp(file, "crash", now(), getpid());
  return 1;
}

static int limit(const char *pid_file, const char *port, char **command) {
  struct sockaddr_in address = loopback(port);
  int status;
  prctl(PR_SET_TIMERSLACK, 1);
  pid_t pid = fork();
  if (pid == 0) {
    setsid();
    become(command);
  }
  FILE *file = fopen(pid_file, "w");
  fprintf(file, "%d\n", pid);
  fclose(file);
  while (!accepts(&address)) {
    if (waitpid(pid, &status, WNOHANG) == pid) {
      fprintf(stderr, "the server exited with %d\n", exit_code(status));
      return 1;
    }
    sleep_until(now() + 1000000);
  }
  return 0;
}

static int limit_stop(const char *pid_file) {
  int pid = 0;
  FILE *file = fopen(pid_file, "r");
  if (file == 0 || fscanf(file, "%d", &pid) != 1) return 1;
  prctl(PR_SET_TIMERSLACK, 1);
  kill(-pid, SIGTERM);
  while (kill(-pid, 0) == 0 || errno != ESRCH) sleep_until(now() + 1000000);
  return 0;
}

static int reaper(char **command) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_t pid = fork();
  if (pid == 0) become(command);
  for (;;) {
    int status;
    pid_t ended = waitpid(-1, &status, 0);
    if (ended == pid) return exit_code(status);
    if (ended < 0 && errno == ECHILD) return 1;
  }
}

int main(int argc, char **argv) {
  const char *what = argc > 2 ? argv[1] : "";
  if (!strcmp(what, "stamp") && argc > 3) {
    stamp(argv[2], argv[3], now(), getpid());
    if (argc > 4) become(argv + 4);
    return 0;
  }
  if (!strcmp(what, "span") && argc > 4) return span(argv[2], argv[3], argv + 4);
  if (!strcmp(what, "observe") && argc == 4) return observe(argv[2], argv[3]);
  if (!strcmp(what, "gone") && argc > 3) return gone(argv[2], argc - 3, argv + 3);
  if (!strcmp(what, "late") && argc == 4) return late(argv[2], atol(argv[3]));
  if (!strcmp(what, "crash")) return crash(argv[2]);
  if (!strcmp(what, "limit") && argc > 4) return limit(argv[2], argv[3], argv + 4);
  if (!strcmp(what, "limit-stop")) return limit_stop(argv[2]);
  if (!strcmp(what, "reaper")) return reaper(argv + 2);
  fprintf(stderr, "unknown use of helper: %s\n", what);
  return 2;
}
