/* SPDX-License-Identifier: MIT */
/* fvbench: where does the time go. From the bytes on disk to the trained step, each stage alone and all of them
 * together, with the limit beside the figure. */
#include "tools/bench/fvbench.h"

#include "tools/command.h"

int main(int argc, char **argv)
{
    static const struct tool_command commands[] = {
        {&fvbench_read_cmd, fvbench_read},       {&fvbench_decode_cmd, fvbench_decode},
        {&fvbench_augment_cmd, fvbench_augment}, {&fvbench_ring_cmd, fvbench_ring},
        {&fvbench_loader_cmd, fvbench_loader},   {&fvbench_step_cmd, fvbench_step},
        {&fvbench_e2e_cmd, fvbench_e2e},         {&fvbench_doctor_cmd, fvbench_doctor},
        {&fvbench_plan_cmd, fvbench_plan},       {&fvbench_parity_cmd, fvbench_parity},
    };
    return tool_main("fvbench", "Where the time goes.", commands,
                     sizeof commands / sizeof commands[0], argc, argv);
}
