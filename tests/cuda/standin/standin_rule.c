/* SPDX-License-Identifier: MIT */
#include "tests/cuda/standin/standin_rule.h"

#include "tests/cmocka_all.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void expect_rule(void (*fault)(void), const char *says)
{
    int end[2], status = 0;
    char text[1024];
    size_t length = 0;
    fflush(NULL);
    assert_int_equal(pipe(end), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(end[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL); /* cmocka's handler would go on with the next test */
        fault();
        _exit(0);
    }
    close(end[1]);
    for (ssize_t n; (n = read(end[0], text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)n;
    close(end[0]);
    text[length] = 0;
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(text, says))
        fail_msg("\"%s\" was not said, but: %s", says, length ? text : "nothing");
}
