/* SPDX-License-Identifier: MIT */
/* faas.c - the `faas` command: picks the subcommand. */
#include "cli.h"

#include <string.h>

static const struct {
    const char *name;
    cli_command *run;
} commands[] = {{"match", cli_match}, {"explain", cli_explain}, {"replay", cli_replay}};

static const char help[] =
    "usage: faas match\n"
    "       faas match --pattern FILE --events FILE [--count]\n"
    "       faas explain\n"
    "       faas explain --pattern FILE --events FILE\n"
    "       faas replay [options] TRACE\n"
    "       faas --help | --version\n"
    "\n"
    "match    Says whether event patterns match events. Without options it reads lines\n"
    "         {\"pattern\": \"<JSON text>\", \"event\": \"<JSON text>\"} and answers "
    "each with a\n"
    "         line: true, false, or error: and the reason. With options it reads one\n"
    "         pattern, and events line by line, and prints the events that match, or "
    "with\n"
    "         --count how many do.\n"
    "explain  Reads the same, and says of each event that it matches, or which field is "
    "the\n"
    "         first that does not, what was asked for and what is there.\n"
    "\n"
    "replay   Runs a recorded trace through keep-alive policies under memory budgets, "
    "and\n"
    "         prints cold starts and init time of each; see faas replay --help.\n"
    "\n"
    "FILE may be -, standard input. Exit code: 0 something matched, 1 nothing did, 2 an\n"
    "error.\n";

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        (void)fputs(help, stdout);
        return cli_finish(CLI_OK);
    }
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        int version = faas_version();

        printf("faas %d.%d.%d\n", version / 10000, version / 100 % 100, version % 100);
        return cli_finish(CLI_OK);
    }
    for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    (void)fputs(help, stderr);
    return CLI_ERROR;
}
