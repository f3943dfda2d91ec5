package store

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A backend that runs into its quota refuses everything, deletes included, until an operator helps. So the store stops
// early, in steps, each of which leaves room for what is needed to get out. With 8 GiB: a warning at 6.4 GiB, no new
// records from 7.6 GiB, only deletes from 7.84 GiB.
type spaceLevel int32

const (
	spaceOK      spaceLevel = iota
	spaceWarn               // 80 %
	spaceNoNew              // 95 %: records can be replaced (e.g. tasks stopped) and deleted
	spaceDeletes            // 98 %, or the backend has raised an alarm
)

const (
	spaceCheckEvery = 10 * time.Second
	reclaimEvery    = 5 * time.Minute
	// reclaimPause keeps a full store from compacting after every single delete.
	reclaimPause = time.Second
)

func levelOf(st Status) spaceLevel {
	switch {
	case st.Alarm != "":
		return spaceDeletes
	case st.Quota <= 0:
		return spaceOK
	case st.Used >= st.Quota/100*98:
		return spaceDeletes
	case st.Used >= st.Quota/100*95:
		return spaceNoNew
	case st.Used >= st.Quota/100*80:
		return spaceWarn
	}
	return spaceOK
}

// allows says whether the transaction may be made. One that deletes more records than it creates always may.
func (l spaceLevel) allows(writes []write) bool {
	if l < spaceNoNew {
		return true
	}
	created, replaced, deleted := 0, 0, 0
	for _, w := range writes {
		switch {
		case w.after == nil:
			deleted++
		case w.before == nil:
			created++
		default:
			replaced++
		}
	}
	if deleted > created {
		return true
	}
	return created == 0 && (replaced == 0 || l < spaceDeletes)
}

// space is what the store knows about the backend's space: the last status, and what was committed since. The status
// is asked for every 10 s, in which 400 MB can be written.
type space struct {
	status  atomic.Pointer[Status]
	written atomic.Int64  // since the status
	nudge   chan struct{} // capacity 1: look now

	mu       sync.Mutex
	reported spaceLevel
}

func (sp *space) level() spaceLevel {
	st := sp.status.Load()
	if st == nil {
		return spaceOK
	}
	now := *st
	now.Used += sp.written.Load()
	return levelOf(now)
}

// wrote counts a commit. Every commit makes the backend grow, also one that deletes, until space is reclaimed.
func (sp *space) wrote(rows []Row) {
	bytes := 0
	for _, row := range rows {
		bytes += len(row.Kind) + len(row.Key) + len(row.Value) + rowOverhead
	}
	sp.written.Add(int64(bytes))
	if sp.level() >= spaceNoNew {
		sp.look()
	}
}

// look makes watchSpace look now rather than in 10 s.
func (sp *space) look() {
	select {
	case sp.nudge <- struct{}{}:
	default:
	}
}

// report logs when the level has changed.
func (sp *space) report(log *slog.Logger, st Status) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	was, level := sp.reported, levelOf(st)
	if level == was {
		return
	}
	sp.reported = level
	attrs := []any{"used", st.Used, "quota", st.Quota, "file", st.File, "alarm", st.Alarm}
	switch {
	case level >= spaceNoNew && level > was:
		log.Error("the store is almost full and refuses changes; delete what isn't needed or raise its quota", attrs...)
	case level > was:
		log.Warn("the store is filling up", attrs...)
	default:
		log.Info("the store has space again", attrs...)
	}
}

// Status asks the backend how full it is. What it says counts from now on.
func (s *Store) Status(ctx context.Context) (Status, error) {
	before := s.space.written.Load()
	st, err := s.backend.Status(ctx)
	if err != nil {
		return Status{}, err
	}
	s.space.status.Store(&st)
	s.space.written.Add(-before)
	s.space.report(s.log, st)
	return st, nil
}

// watchSpace keeps the space level while this server leads, and has the backend reclaim space.
func (s *Store) watchSpace(ctx context.Context) {
	check := time.NewTicker(spaceCheckEvery)
	defer check.Stop()
	reclaimed := time.Now()
	for {
		s.checkSpace(ctx)
		full := s.space.level() >= spaceNoNew
		since := time.Since(reclaimed)
		if since >= reclaimEvery || full && since >= reclaimPause {
			if err := s.backend.Reclaim(ctx, full); err != nil && ctx.Err() == nil {
				s.log.Warn("the store could not reclaim space", "error", err)
			}
			reclaimed = time.Now()
			s.checkSpace(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-check.C:
		case <-s.space.nudge:
			pause := time.NewTimer(reclaimPause - min(reclaimPause, time.Since(reclaimed)))
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
			pause.Stop()
		}
	}
}

func (s *Store) checkSpace(ctx context.Context) {
	if _, err := s.Status(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("the store could not learn how full it is", "error", err)
	}
}
