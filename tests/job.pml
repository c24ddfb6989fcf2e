/* SPDX-License-Identifier: MIT */
/* The word that says where a job stands (src/core/jobs.h), and all who change it: the worker
 * that runs it, who looks after that one at its deadline, the wheel, a canceller, and who
 * closes. Every schedule: it ends exactly once, and when it was cancelled it runs no more.
 *
 * A compare-and-swap is one step, and so is what happens under the lock. A mutant is a
 * macro; tests/spin.py sees that each is refuted. */
// mutant: BEGIN_WITHOUT_LOOK   a batch's job begins whatever became of it
// mutant: LATE_IS_NOT_KNOWN    a late handler ends the attempt that came after its own
// mutant: CANCEL_IS_FORGOTTEN  what was told to end while it ran is tried again
// mutant: CLAIM_WITHOUT_LOOK   who cancels takes what ends already
// mutant: RETURN_IS_LOST       what met no seat is put back though it was cancelled

#define ATTEMPTS 2

mtype = { DELAYED, QUEUED, RUNNING, ENDING, ENDED };

mtype phase = QUEUED;
bool cancel = false;      /* asked for while it ran */
byte attempt = 0;         /* the one that runs, in the word */
byte ended = 0;           /* how often */
bool never_again = false; /* its canceller was told so */
bool batched = false;     /* a worker has it in its batch, and settles it */
bool asked = false;       /* its canceller was told that it runs */
byte begun_when_asked = 0, begun = 0;
byte handlers = 0;

inline end()
{
    phase = ENDED;
    ended++;
    assert(ended == 1)
}

/* As attempt_move(): `ours` says whether the attempt was still this one. */
inline move(mine, to, ours)
{
    atomic {
        if
#ifdef LATE_IS_NOT_KNOWN
        :: phase == RUNNING ->
#else
        :: phase == RUNNING && attempt == mine ->
#endif
            ours = true;
            assert(attempt == mine); /* what comes of it is of the attempt that runs */
            if
#ifndef CANCEL_IS_FORGOTTEN
            :: cancel -> phase = ENDING
#endif
            :: else -> phase = to
            fi
        :: else -> ours = false
        fi
    }
}

/* What is in the lanes is taken, run, and settled; two at a time, because one that is late
 * leaves its job to another. */
proctype worker()
{
    byte mine;
    bool ours;

    do
    :: ended == 1 && !batched -> break
    :: atomic { phase == QUEUED && !batched -> batched = true }
       ours = false;
       atomic {
           if
#ifdef BEGIN_WITHOUT_LOOK
           :: true ->
#else
           :: phase == QUEUED ->
#endif
               phase = RUNNING;
               attempt++;
               mine = attempt;
               begun++;
               ours = true;
               assert(!never_again && begun <= ATTEMPTS + 1)
           :: else -> batched = false /* its canceller ends it */
           fi
       }
       if
       :: !ours -> skip
       :: else ->
           if
           :: move(mine, ENDING, ours); /* it answered, or failed for the last time */
              if
              :: ours -> end(); batched = false
              :: else -> skip /* it went on without us */
              fi
           :: mine < ATTEMPTS -> /* it failed, and is tried again */
              move(mine, DELAYED, ours);
              if
              :: ours ->
                  atomic {
                      if
                      :: phase == ENDING && cancel -> end()
                      :: else -> skip
                      fi;
                      batched = false
                  }
              :: else -> skip
              fi
           :: mine == 1 -> /* it met no seat: no attempt was made */
              move(mine, QUEUED, ours);
              if
              :: ours ->
                  atomic {
                      if
                      :: phase == ENDING && cancel -> end()
                      :: phase == QUEUED -> attempt--; begun--
#ifdef RETURN_IS_LOST
                      :: phase == ENDING && !cancel -> phase = QUEUED
#endif
                      :: else -> skip
                      fi;
                      batched = false
                  }
              :: else -> skip
              fi
           fi
       fi
    od
}

/* At the deadline of an attempt, under the lock. */
proctype watcher()
{
    do
    :: ended == 1 -> break
    :: atomic {
           phase == RUNNING && batched && attempt <= ATTEMPTS ->
           if
           :: cancel || attempt == ATTEMPTS -> phase = ENDING; batched = false; end()
           :: else -> phase = DELAYED; batched = false
           fi
       }
    od
}

/* The wheel, under the lock: the time of the next attempt has come, or the job's is over. */
proctype wheel()
{
    do
    :: ended == 1 -> break
    :: atomic { phase == DELAYED && !batched -> phase = QUEUED }
    :: atomic { (phase == DELAYED || phase == QUEUED) && !batched -> phase = ENDING; end() }
    od
}

proctype canceller()
{
    atomic {
        if
        :: phase == DELAYED || phase == QUEUED ->
            phase = ENDING;
            never_again = true
        :: phase == RUNNING ->
            cancel = true;
            asked = true;
            begun_when_asked = begun
#ifdef CLAIM_WITHOUT_LOOK
        :: phase == ENDING || phase == ENDED -> phase = ENDING; never_again = true
#endif
        :: else -> skip /* it has ended before */
        fi
    }
    if
    :: never_again -> end()
    :: else -> skip
    fi
}

init
{
    atomic {
        run worker();
        run worker();
        run watcher();
        run wheel();
        run canceller()
    }
    /* All have left, which they do when it has ended. */
    (_nr_pr == 1);
    assert(ended == 1 && !batched);
    assert(!asked || begun == begun_when_asked)
}
