package store

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/openberth/berth/internal/fault"
)

// Options configures a Store. The zero value is good.
type Options struct {
	ID     string       // this server, as other servers see the leader; default: the host's name
	Logger *slog.Logger // default: slog.Default()
	// CheckMutation makes the store panic when it finds that a record was changed after it was Put. It costs an
	// encoding per record at the end of Run, and per replaced record. Race builds always check.
	CheckMutation bool
}

// Store is a set of tables over a backend. See the package comment.
type Store struct {
	schema  *schema
	backend Backend
	limits  Limits
	id      string
	log     *slog.Logger
	audit   *audit // nil: off

	durable atomic.Pointer[snapshot]  // nil until loaded
	changes atomic.Pointer[changeSet] // the newest; watchers walk from here
	space   space
	running atomic.Bool
	format  bool // the backend has a format row; used by Run's goroutine

	wake chan struct{} // capacity 1: the queue is not empty

	mu    sync.Mutex // the write lock: held while fn runs
	head  *state     // durable + everything queued or in flight; nil: not leading
	queue []*pending // in the order in which they ran
	busy  bool       // the committer holds entries that it took from the queue
	ready chan struct{}
	lost  chan struct{}
}

// Open makes a Store; Run starts it. The backend remains the caller's to close, after Run has returned.
func Open(backend Backend, opts Options, tables ...AnyTable) *Store {
	s := &Store{
		schema:  newSchema(tables),
		backend: backend,
		limits:  backend.Limits(),
		id:      opts.ID,
		log:     opts.Logger,
		wake:    make(chan struct{}, 1),
		ready:   make(chan struct{}),
		lost:    make(chan struct{}),
	}
	if s.id == "" {
		s.id, _ = os.Hostname()
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if opts.CheckMutation || raceEnabled {
		s.audit = newAudit(s.schema)
	}
	s.changes.Store(newChangeSet(nil))
	s.space.nudge = make(chan struct{}, 1)
	return s
}

// Ready is closed while this server leads: everything is loaded and Update works. A server that has lost the
// leadership makes a new channel, for the next time.
func (s *Store) Ready() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// Lead runs fn whenever this server leads, with a context that ends when the leadership does, until ctx ends or fn
// returns an error while leading. It is where controllers live: they must stop when another server starts them.
func (s *Store) Lead(ctx context.Context, fn func(ctx context.Context) error) error {
	for {
		s.mu.Lock()
		ready, lost := s.ready, s.lost
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-ready:
		}
		term, cancel := context.WithCancel(ctx)
		stop := make(chan struct{})
		go func() {
			select {
			case <-lost:
				cancel()
			case <-stop:
			}
		}()
		err := fn(term)
		over := term.Err() != nil
		close(stop)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case over:
			continue
		case err != nil:
			return err
		}
		select { // fn was done early: wait for the next term
		case <-ctx.Done():
			return nil
		case <-lost:
		}
	}
}

// Update runs fn in a transaction, and returns once everything that fn saw and wrote is durable. fn may run more than
// once (only the last run counts), must not call Update, and holds up all other writers while it runs.
//
// When fn fails, nothing is written and Update returns its error. When ctx ends first, Update returns ctx's error, and
// the writes may or may not become durable.
//
// The revision is the one at which the writes, or what fn saw, became durable.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) (Rev, error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		p, err := s.execute(fn)
		if err != nil {
			return 0, err
		}
		select {
		case <-p.done:
		default:
			select {
			case <-p.done:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		if p.err == errRerun {
			continue
		}
		if p.err != nil {
			return 0, p.err
		}
		return p.rev, p.fnErr
	}
}

// View runs fn on the newest durable state. It never waits for writers or for the disk, on any server. What r shows
// stays as it is, also after fn has returned.
func (s *Store) View(fn func(r Reader) error) error {
	snap := s.durable.Load()
	if snap == nil {
		return ErrNotLoaded
	}
	return fn(snap)
}

// Backup writes a snapshot of the backend, from which the backend's own tools can restore.
func (s *Store) Backup(ctx context.Context, w io.Writer) error { return s.backend.Backup(ctx, w) }

// pending is a transaction that has run and waits to be durable.
type pending struct {
	writes []write
	bytes  int
	after  *state // the head once it had run
	fnErr  error

	done chan struct{} // closed when rev and err are set
	rev  Rev
	err  error // errRerun: it saw something that didn't become durable
}

// execute runs fn on the head and queues the result.
func (s *Store) execute(fn func(*Tx) error) (*pending, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head == nil {
		return nil, ErrNotLeader
	}
	durable := s.durable.Load()
	tx := &Tx{state: s.head, rev: durable.rev}
	defer func() { tx.done = true }() // also when fn panics, which leaves the head as it was
	p := &pending{after: s.head, done: make(chan struct{})}
	p.fnErr = fn(tx)
	if p.fnErr == nil {
		p.fnErr = s.prepare(tx, p)
	}
	if p.fnErr != nil {
		p.writes, p.bytes, p.after = nil, 0, s.head
	}
	if len(p.writes) == 0 && len(s.queue) == 0 && !s.busy {
		p.rev = durable.rev // all that it saw is durable
		close(p.done)
		return p, nil
	}
	s.head = p.after
	s.queue = append(s.queue, p)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return p, nil
}

// prepare checks and encodes what fn wrote.
func (s *Store) prepare(tx *Tx, p *pending) error {
	if tx.err != nil {
		return fault.Internal(tx.err, "The change could not be stored.")
	}
	bytes, err := tx.encode()
	if err != nil {
		return fault.Internal(err, "The change could not be stored.")
	}
	if len(tx.writes) > s.limits.Rows || bytes > s.limits.Bytes {
		return errTooLarge(len(tx.writes), bytes, s.limits)
	}
	if !s.space.level().allows(tx.writes) {
		return ErrFull
	}
	if s.audit != nil {
		s.audit.wrote(tx.writes)
	}
	p.writes, p.bytes, p.after = tx.writes, bytes, tx.state
	return nil
}

var errRerun = fmt.Errorf("store: run again")
