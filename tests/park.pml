/* SPDX-License-Identifier: MIT */
/* Sleeping and waking (src/core/park.c), with what async_submit.c and async_crew.c do around
 * it: one that submits, two that work, and who closes. Every schedule, sequentially
 * consistent; the weaker orders are model_park.cpp's.
 *
 * All work is done, though a handler waits for the other one, nobody sleeps for ever (an invalid end state), and nobody is counted as
 * asleep or claimed when all have left. A compare-and-swap is one step, and so is the
 * kernel's: to look at the gate and to fall asleep. */
// mutant: NO_LOOK              who falls asleep does not look once more
// mutant: LATE_GATE            who falls asleep reads the gate when it has looked
// mutant: LOST_WAKE            a waker claims, and wakes before the gate is moved
// mutant: NO_NEXT              who takes one wakes nobody, and there is more
// mutant: CLOSE_MOVES_NO_GATE  who closes wakes those that sleep, and none that are about to
// mutant: CLOSE_WAKES_ONE      who closes wakes as a submitter does
// mutant: LEAVES_CLAIM         who leaves takes itself out of those asleep, claimed or not

#define ITEMS 2
#define WORKERS 2

byte work = 0, done = 0;
byte asleep = 0, claimed = 0; /* one word */
byte looking = 0;
byte gate = 0;
bool sleeps[WORKERS]; /* in the kernel */
bool stop = false;
bool submitted = false;

/* The kernel's: any one that sleeps. */
inline futex_wake_one()
{
    atomic {
        if
        :: sleeps[0] -> sleeps[0] = false
        :: sleeps[1] -> sleeps[1] = false
        :: !sleeps[0] && !sleeps[1] -> skip
        fi
    }
}

inline futex_wake_all()
{
    atomic { sleeps[0] = false; sleeps[1] = false }
}

inline wake(claims)
{
    if
    :: looking != 0 -> skip /* it will see it */
    :: else ->
        atomic {
            if
            :: claimed > 0 || asleep == 0 -> claims = false
            :: else -> asleep--; claimed++; claims = true
            fi
        };
        if
        :: claims ->
#ifdef LOST_WAKE
            futex_wake_one();
            gate++
#else
            gate++;
            futex_wake_one()
#endif
        :: else -> skip
        fi
    fi
}

proctype submitter()
{
    byte i = 0;
    bool claims;

    do
    :: i < ITEMS ->
        work++;
        i++;
        wake(claims)
    :: else -> break
    od;
    submitted = true
}

/* When all is done; also while workers fall asleep. */
proctype closer()
{
    bool claims;

    (submitted && done == ITEMS);
    stop = true;
#ifdef CLOSE_WAKES_ONE
    wake(claims)
#else
#ifndef CLOSE_MOVES_NO_GATE
    gate++;
#endif
    futex_wake_all()
#endif
}

inline leave()
{
    atomic {
        if
#ifndef LEAVES_CLAIM
        :: claimed > 0 -> claimed--
        :: else -> asleep--
#else
        :: asleep > 0 -> asleep--
        :: else -> claimed--
#endif
        fi
    }
}

proctype worker(byte me)
{
    byte seen;
    bool got, claims, found;

    do
    :: stop -> break
    :: else ->
        /* Under the lock: takes one, and sees whether there is more. */
        atomic {
            if
            :: work > 0 -> work--; got = true; found = work > 0
            :: else -> got = false
            fi
        };
        if
        :: got ->
#ifndef NO_NEXT
            if
            :: found -> wake(claims)
            :: else -> skip
            fi;
#endif
            done++;
            (done == ITEMS) /* handlers may wait for each other */
        :: else ->
            /* Looks around for a while, one at a time; or not. */
            found = false;
            if
            :: atomic { looking == 0 -> looking = 1 };
               if
               :: work > 0 -> found = true
               :: true -> skip
               fi;
               looking = 0
            :: skip
            fi;
            if
            :: found -> skip
            :: else ->
#ifndef LATE_GATE
                seen = gate;
#endif
                asleep++;
#ifdef NO_LOOK
                if
                :: true ->
#else
                if
                :: work == 0 && !stop ->
#endif
#ifdef LATE_GATE
                    seen = gate;
#endif
                    atomic {
                        if
                        :: gate == seen -> sleeps[me] = true
                        :: else -> skip
                        fi
                    };
                    !sleeps[me]
                :: else -> skip
                fi;
                leave()
            fi
        fi
    od
}

init
{
    atomic {
        run submitter();
        run worker(0);
        run worker(1);
        run closer()
    }
    (_nr_pr == 1);
    assert(done == ITEMS && work == 0);
    assert(asleep == 0 && claimed == 0)
}
