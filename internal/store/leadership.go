package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Run loads the records, follows the leader until this server is elected, leads, and starts over when it loses the
// leadership. It returns nil when ctx ends, and an error when the data can't be used. A Store runs once.
func (s *Store) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("store: Run was called twice")
	}
	if s.audit != nil {
		defer func() { s.audit.verifyAll(s.durable.Load()) }()
	}
	wait := newBackoff()
	for ctx.Err() == nil {
		err := s.term(ctx)
		var fatal *fatalError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &fatal):
			return fatal.err
		case errors.Is(err, ErrFenced):
			s.log.Warn("leadership lost", "id", s.id)
			wait = newBackoff()
			continue
		}
		s.log.Warn("the store's backend does not work; trying again", "error", err)
		wait.sleep(ctx, nil)
	}
	return nil
}

// fatalError marks what trying again doesn't mend.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }

// term takes this server through one leadership: load or follow, be elected, catch up, lead.
func (s *Store) term(ctx context.Context) error {
	if s.durable.Load() == nil {
		if err := s.load(ctx); err != nil {
			return err
		}
	}
	term, err := s.standBy(ctx)
	if err != nil {
		return err
	}
	defer func() {
		resign, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := term.Resign(resign); err != nil {
			s.log.Warn("the leadership could not be handed back; it will expire", "error", err)
		}
	}()
	if err := s.catchUp(ctx, term); err != nil {
		return err
	}
	if err := s.writeFormat(ctx, term); err != nil {
		return err
	}
	return s.lead(ctx, term)
}

// load reads everything, and publishes how it differs from what was known.
func (s *Store) load(ctx context.Context) error {
	start := time.Now()
	l := newLoader(s.schema)
	rev, err := s.backend.Load(ctx, l.add)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if err := checkFormat(l.format); err != nil {
		return &fatalError{err}
	}
	if l.err != nil {
		return &fatalError{l.err}
	}
	if l.unknown > 0 {
		s.log.Warn("the store holds records of kinds that this version does not know; they are left alone", "records", l.unknown)
	}
	s.format = l.format != nil
	next := l.build()
	if s.audit != nil {
		s.audit.loaded(next)
	}
	before := newState(s.schema)
	if old := s.durable.Load(); old != nil {
		before = old.state
	}
	s.publish(&snapshot{state: next, rev: rev}, difference(before, next))
	s.log.Debug("store loaded", "records", l.records, "revision", rev, "took", time.Since(start))
	return nil
}

// standBy follows the leader until this server is elected.
func (s *Store) standBy(ctx context.Context) (Term, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var term Term
	campaign := make(chan error, 1)
	following, elected := context.WithCancel(ctx)
	go func() {
		var err error
		term, err = s.backend.Campaign(ctx, s.id)
		elected()
		campaign <- err
	}()
	err := s.follow(following, func() bool { return false })
	if following.Err() == nil {
		cancel() // Follow broke off; no use in being elected
	}
	if campaignErr := <-campaign; campaignErr != nil {
		if err == nil {
			err = campaignErr
		}
		return nil, fmt.Errorf("campaign: %w", err)
	}
	return term, nil
}

// catchUp follows until everything that earlier terms committed is here.
func (s *Store) catchUp(ctx context.Context, term Term) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-term.Lost():
			cancel()
		case <-ctx.Done():
		}
	}()
	upToDate := func() bool { return s.durable.Load().rev >= term.Rev() }
	for !upToDate() {
		if err := s.follow(ctx, upToDate); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ErrFenced
		}
	}
	return nil
}

var errEnough = errors.New("store: followed far enough")

// follow publishes what the leader commits, until ctx ends or enough returns true; both are nil.
func (s *Store) follow(ctx context.Context, enough func() bool) error {
	for ctx.Err() == nil {
		err := s.backend.Follow(ctx, s.durable.Load().rev, func(b Batch) error {
			if err := s.apply(b); err != nil {
				return err
			}
			if enough() {
				return errEnough
			}
			return nil
		})
		switch {
		case ctx.Err() != nil || errors.Is(err, errEnough):
			return nil
		case errors.Is(err, ErrCompacted):
			if err := s.load(ctx); err != nil {
				return err
			}
			if enough() {
				return nil
			}
		case err != nil:
			return fmt.Errorf("follow: %w", err)
		}
	}
	return nil
}

// apply publishes one commit of the leader.
func (s *Store) apply(b Batch) error {
	st := s.durable.Load().state
	var changes []Change
	for _, row := range b.Rows {
		if row.Kind == metaKind {
			if row.Key == formatKey {
				if err := checkFormat(row.Value); err != nil {
					return &fatalError{err}
				}
				s.format = true
			}
			continue
		}
		i, known := s.schema.byKind[row.Kind]
		if !known {
			continue
		}
		t := s.schema.tables[i]
		var after any
		if row.Value != nil {
			var err error
			if after, err = decode(t, row); err != nil {
				return &fatalError{err}
			}
		}
		next, before := st.with(i, row.Key, after)
		st = next
		if before != nil || after != nil {
			changes = append(changes, Change{Kind: row.Kind, Key: row.Key, table: t, before: before, after: after})
		}
	}
	if s.audit != nil {
		s.audit.applied(changes)
	}
	s.publish(&snapshot{state: st, rev: b.Rev}, changes)
	return nil
}

// lead accepts and commits transactions until the term or ctx ends.
func (s *Store) lead(ctx context.Context, term Term) error {
	ctx, cancel := context.WithCancel(ctx)
	c := &committer{Store: s, term: term}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watchSpace(ctx)
	}()
	s.mu.Lock()
	s.head = s.durable.Load().state
	close(s.ready)
	s.mu.Unlock()
	s.log.Info("leading", "id", s.id, "revision", s.durable.Load().rev)
	defer func() {
		c.abandon()
		cancel()
		<-watched
	}()
	return c.run(ctx)
}

const (
	formatKey     = "format"
	formatVersion = 1
)

// format is the row that says how to read all other rows. A Berth that finds a newer version refuses to start, rather
// than misread records and write them back mutilated.
type format struct {
	Version int `json:"version"`
}

func checkFormat(row []byte) error {
	if row == nil {
		return nil // nothing was ever written
	}
	var f format
	if err := json.Unmarshal(row, &f); err != nil {
		return fmt.Errorf("%w: the format row is %q", ErrFormat, row)
	}
	if f.Version > formatVersion {
		return fmt.Errorf("%w: version %d, and this one knows versions up to %d; run the newer Berth, or restore a backup that is older than the upgrade",
			ErrFormat, f.Version, formatVersion)
	}
	return nil
}

// writeFormat marks a fresh store.
func (s *Store) writeFormat(ctx context.Context, term Term) error {
	if s.format {
		return nil
	}
	value, err := json.Marshal(format{formatVersion})
	if err != nil {
		return err
	}
	rev, err := term.Commit(ctx, []Row{{Kind: metaKind, Key: formatKey, Value: value}})
	if err != nil {
		return fmt.Errorf("write the format: %w", err)
	}
	s.format = true
	s.publish(&snapshot{state: s.durable.Load().state, rev: rev}, nil)
	return nil
}
