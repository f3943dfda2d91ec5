package store

import (
	"context"
	"errors"
	"io"
)

// Backend is where records survive. There are three: etcd in process, etcd elsewhere, and memory (for tests); all pass
// the suite in storetest. A Backend knows rows, not records.
type Backend interface {
	// Load calls each for every row of one consistent revision, and returns that revision. Calls may come from several
	// goroutines at once, in any order; a row's Value belongs to the callee.
	Load(ctx context.Context, each func(Row) error) (Rev, error)

	// Follow calls each, in order, for every commit after from, until each or ctx ends it. It returns ErrCompacted
	// when the history since from is gone; the caller then loads again.
	Follow(ctx context.Context, from Rev, each func(Batch) error) error

	// Campaign blocks until this server leads. When it returns, no commit of an earlier term can be applied any more.
	// ctx limits the campaign, not the term.
	Campaign(ctx context.Context, id string) (Term, error)

	// Limits bounds one commit.
	Limits() Limits

	// Status says how full the backend is.
	Status(ctx context.Context) (Status, error)

	// Reclaim returns space of deleted records and old revisions, as far as the backend can do that without hurting.
	// full says that writes are being refused for want of space, so that a pause is the lesser evil.
	Reclaim(ctx context.Context, full bool) error

	// Backup writes a snapshot from which the backend's own tools can restore.
	Backup(ctx context.Context, w io.Writer) error
}

// Term is one server's time as leader. Its methods are called by one goroutine.
type Term interface {
	// Rev is the revision of the newest commit of earlier terms: who has seen it has seen everything.
	Rev() Rev

	// Commit applies all rows in one atomic and durable step. The rows have distinct keys. Errors:
	//   - ErrFenced: not applied, and this term is over;
	//   - *RejectedError: not applied, and the term goes on (too large, no space);
	//   - anything else: unknown; call Settle before the next Commit.
	Commit(ctx context.Context, rows []Row) (Rev, error)

	// Settle resolves the last Commit's unknown outcome: it makes sure that the commit can't be applied from now on,
	// and says whether it was, and at which revision. ErrFenced means that the term is over and the outcome unknown
	// to this server; any other error means: try again.
	Settle(ctx context.Context) (applied bool, rev Rev, err error)

	// Lost is closed when the backend learns that the term is over.
	Lost() <-chan struct{}

	// Resign ends the term, so that another server needn't wait for it to expire.
	Resign(ctx context.Context) error
}

// Rev orders commits. It grows, with gaps.
type Rev int64

// Row is a record as a backend sees it. In a commit or a batch, a nil Value deletes.
type Row struct {
	Kind, Key string
	Value     []byte
}

// Batch is one commit, as a follower sees it. It has no rows when the commit changed none (a new term).
type Batch struct {
	Rev  Rev
	Rows []Row
}

// Limits bounds one commit.
type Limits struct {
	Rows  int // rows in one commit
	Bytes int // keys and values together
}

// Status says how full a backend is.
type Status struct {
	Used  int64 // what counts against Quota
	Quota int64 // zero: unlimited
	File  int64 // what it takes on the disk
	// Alarm is set when the backend itself refuses writes, and says why.
	Alarm string
}

var (
	// ErrFenced is Term's answer when another leader has taken over.
	ErrFenced = errors.New("store: fenced: another leader has taken over")
	// ErrCompacted is Follow's answer when the history that it was asked for is gone.
	ErrCompacted = errors.New("store: the history since that revision is gone")
)

// RejectedError is Term.Commit's answer when the commit was certainly not applied, but the term goes on.
type RejectedError struct{ Err error }

func (e *RejectedError) Error() string { return "store: commit rejected: " + e.Err.Error() }
func (e *RejectedError) Unwrap() error { return e.Err }
