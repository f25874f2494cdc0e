/* SPDX-License-Identifier: MIT */
/* Policies with a name: those of known recipes. What a run keeps is the policy, not the name, so a row may be
 * improved without changing what an old run means. */
#include "augment/op.h"

const struct fv_aug_preset fv_aug_presets[] = {
    {"resnet18-cutmix",
     "flip,rotate(10),jitter(.2,.2,.2),affine(0,.1,.1,.9,1.1),erase(.25,r=127,g=127,b=127),"
     "cutmix(1,p=.5)",
     "ResNet-18 at 112 px with CutMix, after CMU 11-785's face recipes"},
    {"se-resnet-arcface", "rrc(.8,1),flip,jitter(.2,.2,.2),rotate(10),perspective(.2)",
     "SE-ResNet with ArcFace and triplets at 112 px, after CMU 11-785's face recipes"},
    {"gallery-224", "rrc(.8,1),flip,jitter(.2,.2,.2),rotate(10)",
     "7,000 identities at 224 px, images mapped to a gallery"},
    {"mobilenetv2-32", "flip,affine(10,.1,.1)",
     "MobileNetV2 at 32 px: shifts of 3 pixels, and colours left alone"},
    {"finetune-resnet18", "rrc,flip",
     "fine-tuning at 224 px as torchvision's references/classification trained the network"},
    {0},
};
