/* SPDX-License-Identifier: MIT */
/* A library that is linked under a name by which nobody can find it. */
int fake_library(void);

int fake_library(void)
{
    return 1;
}
