/* SPDX-License-Identifier: MIT */
/* The protocol of augment/ring.c, statement by statement where threads share something, for Spin.
 * README.md says which run checks what, and what is left out. The names are those of ring.c; ghosts,
 * which the ring does not have and the assertions need, are marked as such. */

/* --- the size of a run: -DNAME=VALUE ---------------------------------------------------------- */
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef CONSUMERS
#define CONSUMERS 1     /* two take turns: one at a time from take to release */
#endif
#ifndef STOPPERS
#define STOPPERS 0      /* other threads that stop the ring at any moment */
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef ITEMS
#define ITEMS 2
#endif
#ifndef LAST_ITEMS
#define LAST_ITEMS ITEMS
#endif
#ifndef END
#define END 3           /* batches */
#endif
#ifndef SEEKS
#define SEEKS 0         /* at most, to anywhere, at any moment */
#endif
#ifndef FAIL
#define FAIL END        /* any set of this batch's items may fail */
#endif
#ifndef WORD
#define WORD (4 * (SLOTS + PRODUCERS - 1)) /* the futex word is the turn modulo this */
#endif
#define THREADS (1 + PRODUCERS + CONSUMERS + STOPPERS) /* with init */

/* --- the mutants: -DMUTANT=NAME, each has to be caught ---------------------------------------- */
#define NONE 0
#define CLAIM_TORN 1        /* claims by a load and a store */
#define COUNT_TORN 2        /* counts down by a load and a store */
#define COMPLETE_EARLY 3    /* completes an item before writing it */
#define FAIL_SILENT 4       /* does not complete an item that failed */
#define ERROR_UNLOCKED 5    /* notes errors without the lock */
#define PUBLISH_QUIET 6     /* publishes without waking */
#define RELEASE_QUIET 7     /* releases without waking */
#define RELEASE_EARLY 8     /* releases before the last look at the batch */
#define PREPARE_LATE 9      /* prepares the slot after saying that it is free */
#define LOOK_FIRST 10       /* looks for sleepers before changing the turn */
#define SLEEP_UNCOUNTED 11  /* sleeps without being counted */
#define SLEEP_BLIND 12      /* sleeps without comparing the word */
#define TURN_TORN 13        /* publishes and releases by a load and a store */
#define STOP_QUIET 14       /* sets the stop bit without waking */
#define STOP_EARLY 15       /* stops the slots before taking the lock */
#define SEEK_HASTY 16       /* restarts without waiting for the producers */
#define PARK_DEAF 17        /* parks without looking whether the ring was stopped */
#define TAKE_SHARED 18      /* two consumers do not take turns */
#define SLEEP_NEVER 19      /* waits busily */
#ifndef MUTANT
#define MUTANT NONE
#endif

/* --- struct fv_ring --------------------------------------------------------------------------- */
#define STOPPED 1
#define PUBLISHED 2
#define is_stopped(turn) (turn % 2 == 1)
#define arrived(turn, wanted) (turn == wanted || is_stopped(turn))
#define items_of(t) (t + 1 == END -> LAST_ITEMS : ITEMS)

byte turn[SLOTS];
byte sleepers[SLOTS];
byte left[SLOTS];
byte error[SLOTS];              /* 0, or 1 + the item */
byte first, next_item, taken, released;
bool lock, stopped;
byte attached, parked, seeks;

/* --- the kernel and the C library ------------------------------------------------------------- */
#define ALL_PARKED (SLOTS + 1)
#define RESUMED (SLOTS + 2)
byte waits_for[THREADS];        /* 0, 1 + the slot whose futex it sleeps on, or a condition */

/* --- ghosts ----------------------------------------------------------------------------------- */
byte data[SLOTS * ITEMS];       /* 1 + the ticket that was written last */
byte writers[SLOTS];
byte readers[SLOTS];
byte expected;                  /* the next ticket to arrive */
byte fail_mask;                 /* the items of batch FAIL that fail */
bool turn_taken;                /* by one of two consumers */

#define fails(t, i) (t == FAIL && ((fail_mask >> i) & 1))

inline wake_all(what)
{
    d_step {
        k = 0;
        do
        :: k < THREADS -> waits_for[k] = (waits_for[k] == what -> 0 : waits_for[k]); k++
        :: else -> break
        od;
        k = 0
    }
}

/* Batch t is whole in its slot. */
inline look(s, t)
{
    d_step {
        k = 0;
        do
        :: k < items_of(t) -> assert(data[s * ITEMS + k] == t + 1); k++
        :: else -> break
        od;
        k = 0
    }
}

/* --- waiting for a turn ----------------------------------------------------------------------- */

inline wake(s)
{
    if
    :: sleepers[s] == 0
    :: else -> wake_all(s + 1)
    fi
}

inline add_turn(s, by, quiet)
{
    if
    :: MUTANT == LOOK_FIRST ->
        if
        :: sleepers[s] == 0 -> turn[s] = turn[s] + by
        :: else -> turn[s] = turn[s] + by; wake_all(s + 1)
        fi
    :: MUTANT == quiet -> turn[s] = turn[s] + by
    :: MUTANT == TURN_TORN -> seen = turn[s]; turn[s] = seen + by; wake(s)
    :: else -> turn[s] = turn[s] + by; wake(s)
    fi
}

inline stop_slots()
{
    j = 0;
    do
    :: j < SLOTS ->
        turn[j] = turn[j] | STOPPED;
        if
        :: MUTANT == STOP_QUIET
        :: else -> wake(j)
        fi;
        j++
    :: else -> break
    od;
    j = 0
}

/* FUTEX_WAIT: the kernel compares and goes to sleep in one step. */
inline futex_wait(s)
{
    atomic {
        if
        :: MUTANT == SLEEP_BLIND || (MUTANT != SLEEP_NEVER && turn[s] % WORD == seen % WORD) ->
            waits_for[_pid] = s + 1
        :: else
        fi
    };
    waits_for[_pid] == 0
}

/* The spinning before it is the first load, made later. */
inline await(s, wanted)
{
    seen = turn[s];
    if
    :: arrived(seen, wanted)
    :: else ->
        if
        :: MUTANT == SLEEP_UNCOUNTED
        :: else -> sleepers[s]++
        fi;
        do
        :: atomic {
            seen = turn[s];
            if
            :: arrived(seen, wanted) -> break
            :: else
            fi };
            futex_wait(s)
        od;
        if
        :: MUTANT == SLEEP_UNCOUNTED
        :: else -> sleepers[s]--
        fi
    fi
}

/* --- producers -------------------------------------------------------------------------------- */

/* Nothing but what the lock guards: one step, up to the wait and after it. */
inline park()
{
    atomic {
        !lock ->
        n = seeks;
        parked++;
        if
        :: parked == attached -> wake_all(ALL_PARKED)
        :: else
        fi;
        if
        :: stopped && MUTANT != PARK_DEAF
        :: else -> waits_for[_pid] = RESUMED
        fi
    };
    do
    :: atomic {
        waits_for[_pid] == 0 && !lock ->
        if
        :: stopped -> go_on = false; break
        :: !stopped && seeks != n -> parked--; break
        :: else -> waits_for[_pid] = RESUMED
        fi }
    od
}

inline note_error(s, i)
{
    if
    :: MUTANT == ERROR_UNLOCKED ->
        seen = error[s];
        if
        :: seen == 0 || i + 1 < seen -> error[s] = i + 1
        :: else
        fi
    :: else ->
        atomic {
            !lock ->
            if
            :: error[s] == 0 || i + 1 < error[s] -> error[s] = i + 1
            :: else
            fi
        }
    fi
}

inline begin_item()
{
    atomic {
        assert(readers[slot] == 0);
        assert(data[slot * ITEMS + item] != ticket + 1);
        writers[slot]++
    }
}

inline end_item()
{
    atomic {
        assert(readers[slot] == 0);
        data[slot * ITEMS + item] = ticket + 1;
        writers[slot]--
    }
}

/* A batch as a whole is finished by one thread, with everything of the others in place. */
inline finish_batch()
{
    atomic {
        assert(readers[slot] == 0 && writers[slot] == 0);
        look(slot, ticket);
        writers[slot]++
    };
    writers[slot]--
}

inline complete()
{
    if
    :: MUTANT == COUNT_TORN -> seen = left[slot] - 1; left[slot] = seen
    :: else -> atomic { left[slot] = left[slot] - 1; seen = left[slot] }
    fi;
    if
    :: seen == 0 ->
        finish_batch();
        add_turn(slot, PUBLISHED, PUBLISH_QUIET)
    :: else
    fi
}

proctype Producer()
{
    byte n, ticket, item, slot, seen, k;
    bool go_on = true;

    atomic { !lock -> attached++ };
    do
    :: go_on ->
        if
        :: MUTANT == CLAIM_TORN -> n = next_item; next_item = n + 1
        :: else -> atomic { n = next_item; next_item++ }
        fi;
        atomic {
            ticket = first + n / ITEMS;
            item = n % ITEMS;
            slot = ticket % SLOTS;
            n = 0
        };
        seen = STOPPED;
        if
        :: ticket < END && item < items_of(ticket) -> await(slot, 4 * ticket)
        :: else
        fi;
        if
        :: is_stopped(seen) -> park()
        :: else ->
            if
            :: MUTANT == COMPLETE_EARLY ->
                complete();
                begin_item();
                end_item()
            :: else ->
                begin_item();
                end_item();
                if
                :: fails(ticket, item) -> note_error(slot, item)
                :: else
                fi;
                if
                :: MUTANT == FAIL_SILENT && fails(ticket, item)
                :: else -> complete()
                fi
            fi
        fi;
        ticket = 0; item = 0; slot = 0; seen = 0; n = 0
    :: else -> break
    od
}

/* --- stopping --------------------------------------------------------------------------------- */

inline stop()
{
    if
    :: MUTANT == STOP_EARLY -> stop_slots()
    :: else
    fi;
    atomic { !lock -> lock = true };
    stopped = true;
    wake_all(RESUMED);
    wake_all(ALL_PARKED);
    if
    :: MUTANT == STOP_EARLY
    :: else -> stop_slots()
    fi;
    lock = false
}

proctype Stopper()
{
    byte j, k;

    stop()
}

/* --- the consumer ----------------------------------------------------------------------------- */

inline prepare(s, t)
{
    left[s] = items_of(t);
    error[s] = 0
}

inline stop_reading(s)
{
    atomic {
        look(s, released);
        readers[s]--
    }
}

/* fv_ring_take: 1 a batch, 0 the end, 2 stopped, 3 an error. */
inline take()
{
    if
    :: taken >= END -> rc = 0
    :: else ->
        slot = taken % SLOTS;
        await(slot, 4 * taken + PUBLISHED);
        if
        :: is_stopped(seen) -> rc = 2
        :: !is_stopped(seen) && error[slot] -> rc = 3;
            /* The lowest of those that fail. */
            assert(taken == expected && fails(taken, error[slot] - 1));
            assert((fail_mask & ((1 << (error[slot] - 1)) - 1)) == 0)
        :: else -> rc = 1;
            atomic {
                assert(taken == expected && !(taken == FAIL && fail_mask));
                assert(writers[slot] == 0);
                look(slot, taken);
                readers[slot]++;
                expected++
            };
            taken++
        fi;
        slot = 0; seen = 0
    fi
}

inline release()
{
    slot = released % SLOTS;
    if
    :: MUTANT != RELEASE_EARLY -> stop_reading(slot)
    :: else
    fi;
    if
    :: MUTANT != PREPARE_LATE -> prepare(slot, released + SLOTS)
    :: else
    fi;
    released++;
    add_turn(slot, 4 * SLOTS - PUBLISHED, RELEASE_QUIET);
    if
    :: MUTANT == PREPARE_LATE -> prepare(slot, released - 1 + SLOTS)
    :: else
    fi;
    if
    :: MUTANT == RELEASE_EARLY -> released--; stop_reading(slot); released++
    :: else
    fi;
    slot = 0
}

/* What is held is dropped with the rest. */
inline restart(to)
{
    atomic { first = to; taken = to; released = to; next_item = 0; expected = to };
    do
    :: j < SLOTS ->
        slot = (to + j) % SLOTS;
        prepare(slot, to + j);
        atomic {
            assert(writers[slot] == 0);
            turn[slot] = 4 * (to + j);
            k = 0;
            do
            :: k < ITEMS -> data[slot * ITEMS + k] = 0; k++
            :: else -> break
            od;
            k = 0
        };
        j++
    :: else -> break
    od;
    j = 0;
    slot = 0
}

inline seek(to)
{
    d_step {
        do
        :: j < SLOTS -> readers[j] = 0; j++
        :: else -> break
        od;
        j = 0
    };
    stop_slots();
    atomic { !lock -> lock = true };
    do
    :: parked < attached && !stopped && MUTANT != SEEK_HASTY ->
        atomic { waits_for[_pid] = ALL_PARKED; lock = false };
        atomic { waits_for[_pid] == 0 && !lock -> lock = true }
    :: else -> break
    od;
    if
    :: stopped -> rc = 2
    :: else -> rc = 1;
        restart(to);
        seeks++;
        wake_all(RESUMED)
    fi;
    lock = false
}

inline take_turn()
{
    if
    :: CONSUMERS > 1 && MUTANT != TAKE_SHARED -> atomic { !turn_taken -> turn_taken = true }
    :: else
    fi
}

inline give_turn()
{
    if
    :: CONSUMERS > 1 && MUTANT != TAKE_SHARED -> turn_taken = false
    :: else
    fi
}

/* Takes and releases in any order that the contract allows, seeks when it likes, and leaves with
 * batches in hand or without: when it likes, and then it stops the ring, or, where others do that,
 * once they have. */
proctype Consumer()
{
    byte rc = 1, slot, seen, j, k, to;

    do
    :: (rc == 1 && CONSUMERS == 1 && taken - released < SLOTS) -> take()
    :: (rc == 1 && CONSUMERS == 1 && taken > released) -> release()
    :: (rc == 1 && CONSUMERS > 1) ->
        take_turn();
        take();
        if
        :: rc == 1 -> release()
        :: else
        fi;
        give_turn()
    :: (rc != 2 && CONSUMERS == 1 && seeks < SEEKS) ->
        select(to: 0 .. END);
        seek(to);
        to = 0
    :: (STOPPERS == 0 || stopped) -> break
    od;
    if
    :: STOPPERS == 0 -> stop()
    :: else
    fi
}

init
{
    byte i;

    atomic {
        if
        :: FAIL < END -> select(fail_mask: 0 .. ((1 << ITEMS) - 1))
        :: else
        fi;
        i = 0;
        do
        :: i < SLOTS -> turn[i] = 4 * i; left[i] = items_of(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < PRODUCERS -> run Producer(); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < CONSUMERS -> run Consumer(); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < STOPPERS -> run Stopper(); i++
        :: else -> break
        od;
        i = 0
    }
}
