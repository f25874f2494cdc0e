# SPDX-License-Identifier: MIT
# What a recipe is: options from a file, under those of the command line.
run fvtrain --recipe list
exits 0
err ''
for recipe in finetune-resnet18 gallery-224 mobilenetv2-32 resnet18-cutmix se-resnet-arcface se-resnet-multitask \
    se-resnet-smooth se-resnet-triplet; do
    out_has "$recipe "
done
run fvtrain --recipe resnet18-cutmix --help
exits 0
out_has 'learning rate at its highest [0.01]'
run fvtrain --recipe resnet18-cutmux --db faces.lmdb
exits 1
err_has "there is no recipe 'resnet18-cutmux': valid are finetune-resnet18, gallery-224, mobilenetv2-32,"
run fvtrain --recipe ./mine.recipe --db faces.lmdb
exits 1
err_has './mine.recipe'
run fvtrain --recipe resnet18-cutmix
exits 2
err_has '--db FILE'

printf '# mine\n\nepochs = 3\nepoch = 4\n' >mine.recipe
run fvtrain --recipe ./mine.recipe --db faces.lmdb
exits 1
err_has "./mine.recipe: line 4: unknown setting 'epoch': did you mean 'epochs'?"
printf 'epochs 3\n' >mine.recipe
run fvtrain --recipe mine.recipe --db faces.lmdb
exits 1
err_has "mine.recipe: line 1 is not 'name = value'"
printf 'epochs = three\n' >mine.recipe
run fvtrain --recipe mine.recipe --db faces.lmdb
exits 2
err_has "mine.recipe: line 1: --epochs: 'three' is not a whole number"
printf 'epochs = 1\0\n' >mine.recipe
run fvtrain --recipe mine.recipe --db faces.lmdb
exits 1
err_has 'not text'
for name in recipe resume; do
    echo "$name = other" >mine.recipe
    run fvtrain --recipe mine.recipe --db faces.lmdb
    exits 2
    err_has 'mine.recipe: a recipe cannot name a run to resume or another recipe'
done
run fvtrain --recipe resnet18-cutmix --resume run
exits 2
err_has 'leave --recipe out'

# Options of the command line go before, wherever they stand; lines may end as other systems end them.
for id in 1 2 3 4; do
    for i in 1 2 3 4 5 6; do
        pgm photos/p$id/$i.pgm 24 $((id * 35 + i))
    done
done
run fvprep pack photos -o faces.lmdb --size 16
exits 0
printf '# mine\ndb     = faces.lmdb \r\narch   = tiny\r\nbatch  = 4\r\nepochs = 9' >mine.recipe
run fvtrain --epochs 2 --recipe mine.recipe --backend ref --seed 7 --out run
exits 0
err_has 'epoch 2/2'
run grep -x 'batch = 4' run/settings.txt
exits 0

# The settings of a run are a recipe, and give the same run.
run fvtrain --recipe run/settings.txt --out again
exits 0
run cmp run/last.safetensors again/last.safetensors
exits 0

# A recipe's augmentation is the preset of its name.
for recipe in gallery-224 mobilenetv2-32 resnet18-cutmix se-resnet-arcface; do
    small="--db faces.lmdb --arch tiny --stem auto --backend ref --batch 8 --size 16 --epochs 1 --warmup 0 --loss ce"
    run fvtrain --recipe $recipe $small --embedding 0 --milestones 1 --out $recipe
    exits 0
    run fvtrain --aug $recipe $small --out $recipe-preset
    exits 0
    last="comparing --recipe and --aug $recipe"
    [ "$(grep '^aug = ' $recipe/settings.txt)" = "$(grep '^aug = ' $recipe-preset/settings.txt)" ] ||
        fail 'they augment differently'
done
