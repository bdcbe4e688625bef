// assay record: runs a command with the recorder in it, and makes traces of what it left.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/assay_cli.h"
#include "harness/record_collect.h"
#include "harness/record_log.h"

enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127, KILLED = 128 };

static const char usage[] =
    "usage: assay record [--out DIR] [--preload FILE] [--] COMMAND [ARGUMENT...]\n"
    "       assay record [--out DIR] --collect LOGS\n"
    "\n"
    "Runs COMMAND and records what it asks of malloc, calloc, realloc, free and their aligned\n"
    "kin. Each process that it starts leaves DIR/PROGRAM.PROCESS[.N].trace; one line for each\n"
    "goes to standard error at the end. `assay replay --strategy NAME FILE` replays one.\n"
    "\n"
    "  --out DIR       where the traces go; made if it is not there (default: assay-traces)\n"
    "  --preload FILE  the recorder, a shared object (default: ASSAY_PRELOAD in the environment,\n"
    "                  else record_preload.so beside the program assay, or in harness/ there)\n"
    "  --collect LOGS  run nothing, but make traces of the raw logs that a program has left in "
    "the\n"
    "                  directory LOGS, and remove these; one line for each on standard output\n"
    "\n"
    "COMMAND's input and output are its own, and Ctrl-C goes to it: what was recorded until then\n"
    "is converted. Not recorded are statically linked and set-user-ID programs, programs with an\n"
    "allocator of their own (python3 has one for small objects: PYTHONMALLOC=malloc turns it\n"
    "off), and children that are started without LD_PRELOAD in their environment.\n"
    "\n"
    "Exit code: that of COMMAND (128 + N if signal N ended it); 126 if it cannot be executed, 127\n"
    "if it is not found, 2 if it could not be recorded.\n";

struct settings {
  const char *out;
  const char *preload;
  const char *collect;
  char **command;
};

// ## The command line

// Whether argument *i is the option, as `--name VALUE` or `--name=VALUE`; *i then is its last
// argument.
static bool take_option(int argc, char **argv, int *i, const char *name, const char **value) {
  size_t length = strlen(name);
  if (strncmp(argv[*i], name, length) != 0) return false;
  if (argv[*i][length] == '=') {
    *value = argv[*i] + length + 1;
    return true;
  }
  if (argv[*i][length] != '\0' || *i + 1 >= argc) return false;
  *value = argv[++*i];
  return true;
}

// -1: go on; else the exit code.
static int read_arguments(int argc, char **argv, struct settings *settings) {
  *settings = (struct settings){.out = "assay-traces"};
  int i = 1;
  for (; i < argc && argv[i][0] == '-'; i++) {
    if (strcmp(argv[i], "--") == 0) {
      i++;
      break;
    }
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      fputs(usage, stdout);
      return 0;
    }
    if (take_option(argc, argv, &i, "--out", &settings->out) && *settings->out) continue;
    if (take_option(argc, argv, &i, "--preload", &settings->preload) && *settings->preload)
      continue;
    if (take_option(argc, argv, &i, "--collect", &settings->collect) && *settings->collect)
      continue;
    return cli_error("%s: unknown option, or its value is missing; see `assay record --help`",
                     argv[i]);
  }
  settings->command = argv + i;
  if (i < argc && settings->collect)
    return cli_error("--collect runs no command: leave `%s` out", argv[i]);
  if (i < argc || settings->collect) return -1;
  return cli_error("no command to record; for example: assay record -- sort /etc/passwd");
}

// ## The recorder

// The canonical path of a readable file, else NULL.
static char *find_file(const char *directory, const char *below) {
  char *path = NULL, *real = NULL;
  if (asprintf(&path, "%s%s", directory, below) < 0) return NULL;
  if (access(path, R_OK) == 0) real = realpath(path, NULL);
  free(path);
  return real;
}

// Looks where an installed program, bazel-bin and a runfiles tree have it. `executable` is cut
// short.
static char *find_recorder_near(char *executable) {
  static const char *const places[] = {"/record_preload.so", "/harness/record_preload.so",
                                       "/harness/librecord_preload.so"};
  char *slash = strrchr(executable, '/'), *found = NULL;
  if (!slash) return NULL;
  *slash = '\0';
  for (size_t i = 0; !found && i < sizeof places / sizeof *places; i++)
    found = find_file(executable, places[i]);
  return found;
}

static char *find_recorder_nearby(void) {
  char executable[PATH_MAX];
  // As it was called first: Bazel's links lead to a tree that may hold other things.
  snprintf(executable, sizeof executable, "%s", program_invocation_name);
  char *found = find_recorder_near(executable);
  if (found) return found;
  ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);
  executable[length > 0 ? length : 0] = '\0';
  return find_recorder_near(executable);
}

static char *find_recorder(const char *given) {
  if (!given || !*given) given = getenv("ASSAY_PRELOAD");
  char *path = NULL;
  if (given && *given) {
    path = find_file(given, "");
    if (!path) cli_error("%s: cannot be read: %s", given, strerror(errno));
  } else {
    path = find_recorder_nearby();
    if (!path)
      cli_error("record_preload.so is not beside this program; build it with `bazel build "
                "//harness:record_preload.so` and name it with --preload or ASSAY_PRELOAD");
  }
  if (path && strpbrk(path, " :")) {
    cli_error("%s: the loader takes no blank or colon in this path; copy the file to another place",
              path);
    free(path);
    path = NULL;
  }
  return path;
}

// ## The directories

static bool make_directories(const char *path) {
  char part[PATH_MAX];
  size_t length = strlen(path);
  if (length >= sizeof part) {
    errno = ENAMETOOLONG;
    return false;
  }
  for (size_t i = 1; i <= length; i++) {
    if (path[i] != '/' && path[i] != '\0') continue;
    memcpy(part, path, i);
    part[i] = '\0';
    if (mkdir(part, 0777) != 0 && errno != EEXIST) return false;
  }
  struct stat status;
  if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) return true;
  errno = ENOTDIR;
  return false;
}

// A fresh directory for raw logs in `out`; recordings into one `out` at a time do not mix.
static char *make_raw_directory(const char *out) {
  char *real = NULL, *raw = NULL;
  if (make_directories(out)) real = realpath(out, NULL);
  if (real && strlen(real) > 1900)
    errno = ENAMETOOLONG;  // the recorder has a page for it
  else if (real && asprintf(&raw, "%s/.raw-XXXXXX", real) > 0 && !mkdtemp(raw)) {
    free(raw);
    raw = NULL;
  }
  if (!raw)
    cli_error("%s: no traces can be put there: %s; use another --out", out, strerror(errno));
  free(real);
  return raw;
}

// ## The command

static volatile sig_atomic_t command_process;

static void pass_on(int signal_number) {
  if (command_process > 0) kill((pid_t)command_process, signal_number);
}

// Ctrl-C reaches the command without us, for it is in the terminal's group; what is sent to this
// process alone is passed on. It stays so to the end: nothing but SIGKILL keeps traces from being
// made of what was recorded, and neither does a reader of our lines that has left.
enum { SIGNALS = 5 };
static const int signals[SIGNALS] = {SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGHUP};

static void handle_signals(struct sigaction former[SIGNALS]) {
  for (int i = 0; i < SIGNALS; i++) {
    struct sigaction action = {.sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    bool passes_on = signals[i] == SIGTERM || signals[i] == SIGHUP;
    action.sa_handler = passes_on ? pass_on : SIG_IGN;
    sigaction(signals[i], &action, &former[i]);
    // What was ignored stays so: nohup.
    if (former[i].sa_handler == SIG_IGN) sigaction(signals[i], &former[i], NULL);
  }
}

static void restore_signals(const struct sigaction former[SIGNALS]) {
  for (int i = 0; i < SIGNALS; i++) sigaction(signals[i], &former[i], NULL);
}

static bool set_environment(const char *recorder, const char *raw) {
  const char *others = getenv("LD_PRELOAD");
  char *preload = NULL;
  if (asprintf(&preload, "%s%s%s", recorder, others && *others ? ":" : "", others ? others : "") <
      0)
    return false;
  bool done = setenv("LD_PRELOAD", preload, 1) == 0 && setenv(RAW_DIRECTORY_VARIABLE, raw, 1) == 0;
  free(preload);
  return done;
}

static _Noreturn void execute(char **command, const char *recorder, const char *raw, int failure) {
  int reason = ENOMEM;
  if (set_environment(recorder, raw)) {
    execvp(command[0], command);
    reason = errno;
  }
  ssize_t written = write(failure, &reason, sizeof reason);
  _exit(written < 0 ? NOT_EXECUTABLE : NOT_FOUND);
}

// Runs the command to its end. Its exit code; *executed is whether there was such a command at all.
static int run(char **command, const char *recorder, const char *raw, bool *executed) {
  int failure[2];  // carries errno if the command cannot be executed, else just closes
  struct sigaction former[SIGNALS];
  *executed = false;
  if (pipe2(failure, O_CLOEXEC) != 0)
    return cli_error("%s: cannot be started: %s", command[0], strerror(errno));
  handle_signals(former);
  pid_t child = fork();
  if (child == 0) {
    restore_signals(former);
    execute(command, recorder, raw, failure[1]);
  }
  int reason = errno, status = 0;
  close(failure[1]);
  if (child > 0) {
    command_process = child;
    ssize_t got;
    do got = read(failure[0], &reason, sizeof reason);
    while (got < 0 && errno == EINTR);
    *executed = got == 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    command_process = 0;
  }
  close(failure[0]);
  if (!*executed) {
    cli_error("%s: %s", command[0], reason == ENOENT ? "command not found" : strerror(reason));
    return child < 0 ? CLI_CANNOT_RUN : reason == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
  }
  return WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
}

// Takes the directory from processes that still run: they add no more logs to it.
static void end_recording(char *raw) {
  char *former = strdup(raw);
  memcpy(strrchr(raw, '/') + 1, ".end", 4);
  if (!former || rename(former, raw) != 0) memcpy(strrchr(raw, '/') + 1, ".raw", 4);
  free(former);
}

static int collect(const struct settings *settings) {
  size_t traces;
  if (access(settings->collect, R_OK | X_OK) != 0)
    return cli_error("%s: cannot be read: %s", settings->collect, strerror(errno));
  if (!make_directories(settings->out))
    return cli_error("%s: no traces can be put there: %s; use another --out", settings->out,
                     strerror(errno));
  if (!record_collect(settings->collect, settings->out, stdout, &traces)) return CLI_CANNOT_RUN;
  if (traces > 0) return 0;
  return cli_error("%s: there is no raw log in it", settings->collect);
}

int command_record(int argc, char **argv) {
  struct settings settings;
  int code = read_arguments(argc, argv, &settings);
  if (code >= 0) return code;
  if (settings.collect) return collect(&settings);
  char *recorder = find_recorder(settings.preload);
  char *raw = recorder ? make_raw_directory(settings.out) : NULL;
  code = CLI_CANNOT_RUN;
  if (raw) {
    bool executed;
    size_t traces;
    code = run(settings.command, recorder, raw, &executed);
    end_recording(raw);
    if (!record_collect(raw, settings.out, stderr, &traces))
      code = CLI_CANNOT_RUN;
    else if (executed && traces == 0)
      code =
          cli_error("%s: nothing was recorded; statically linked and set-user-ID programs cannot "
                    "be, and one that allocates nothing leaves no trace",
                    settings.command[0]);
    if (rmdir(raw) != 0) cli_error("%s: cannot be removed: %s", raw, strerror(errno));
  }
  free(raw);
  free(recorder);
  return code;
}
