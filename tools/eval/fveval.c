/* SPDX-License-Identifier: MIT */
/* fveval: how well a net tells people apart. */
#include "tools/eval/fveval.h"

#include "tools/command.h"

int main(int argc, char **argv)
{
    static const struct tool_command commands[] = {
        {&fveval_pairs_cmd, fveval_pairs},   {&fveval_embed_cmd, fveval_embed},
        {&fveval_score_cmd, fveval_score},   {&fveval_gallery_cmd, fveval_gallery},
        {&fveval_verify_cmd, fveval_verify}, {&fveval_identify_cmd, fveval_identify},
        {&fveval_submit_cmd, fveval_submit}, {&fveval_serve_cmd, fveval_serve},
    };
    return tool_main("fveval", "How well a trained net tells people apart.", commands,
                     sizeof commands / sizeof commands[0], argc, argv);
}
