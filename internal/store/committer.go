package store

import (
	"context"
	"errors"
	"time"

	"github.com/openberth/berth/internal/fault"
)

// A group of transactions is committed as soon as the one before is durable; these bound it. 1,000 records a commit
// were as fast as 10,000, and a commit of 1 MiB takes about 5 ms, which is what the next group then waits.
const (
	maxGroupRows  = 1000
	maxGroupBytes = 1 << 20
)

// commitTimeout is far above what a healthy disk takes, and below what makes clients give up.
const commitTimeout = 5 * time.Second

// committer makes queued transactions durable, in order, for one term. It runs on Run's goroutine.
type committer struct {
	*Store
	term    Term
	backlog []*pending // taken from the queue, in order
}

// group is what goes into one commit.
type group struct {
	members []*pending
	rows    []Row
	changes []Change
}

// run commits until ctx ends (nil), the term is over (ErrFenced), or something that can't be survived happens.
func (c *committer) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.term.Lost():
			return ErrFenced
		case <-c.wake:
		}
		for c.fill() {
			if err := c.commit(ctx, c.nextGroup()); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return nil
			}
		}
	}
}

// fill moves the queue into the backlog, and says whether there is work.
func (c *committer) fill() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.backlog = append(c.backlog, c.queue...)
	c.queue = nil
	c.busy = len(c.backlog) > 0
	return c.busy
}

// nextGroup takes transactions from the backlog until the limits are reached. A record that several of them write goes
// into the commit once, as the last one left it: 64 increments of one counter are one row.
func (c *committer) nextGroup() *group {
	maxRows, maxBytes := min(maxGroupRows, c.limits.Rows), min(maxGroupBytes, c.limits.Bytes)
	g := &group{}
	at := map[recordID]int{}
	bytes := 0
	for i, p := range c.backlog {
		if i > 0 && (len(g.rows)+len(p.writes) > maxRows || bytes+p.bytes > maxBytes) {
			break
		}
		bytes += p.bytes
		for _, w := range p.writes {
			t := c.schema.tables[w.id.table]
			if j, again := at[w.id]; again {
				g.rows[j].Value, g.changes[j].after = w.value, w.after
				continue
			}
			at[w.id] = len(g.rows)
			g.rows = append(g.rows, Row{Kind: t.Kind(), Key: w.id.key, Value: w.value})
			g.changes = append(g.changes, Change{Kind: t.Kind(), Key: w.id.key, table: t, before: w.before, after: w.after})
		}
		g.members = append(g.members, p)
	}
	rest := len(g.members)
	clear(c.backlog[:rest]) // let go of them
	c.backlog = c.backlog[rest:]
	return g
}

// commit makes g durable, publishes it and answers its members; or answers them that it can't be.
func (c *committer) commit(ctx context.Context, g *group) error {
	rev := c.durable.Load().rev
	if len(g.rows) > 0 {
		var err error
		if rev, err = c.write(ctx, g.rows); err != nil {
			return c.refuse(g, err)
		}
		c.space.wrote(g.rows)
	}
	if len(g.rows) > 0 {
		c.publish(&snapshot{state: g.members[len(g.members)-1].after, rev: rev}, g.changes)
	}
	for _, p := range g.members {
		p.rev = rev
		close(p.done)
	}
	return nil
}

// write commits rows and doesn't return before it knows whether they were.
func (c *committer) write(ctx context.Context, rows []Row) (Rev, error) {
	rev, err := c.attempt(ctx, rows)
	if err == nil || certain(err) {
		return rev, err
	}
	c.log.Warn("the outcome of a commit is unknown", "error", err)
	for wait := newBackoff(); ; {
		applied, rev, settleErr := c.settle(ctx)
		switch {
		case settleErr == nil && applied:
			return rev, nil
		case settleErr == nil:
			return 0, errRerun // certainly not applied; the next run will see the same state
		case errors.Is(settleErr, ErrFenced):
			return 0, errUnknownOutcome
		}
		c.log.Warn("the outcome of a commit is still unknown", "error", settleErr)
		c.space.look() // it may be full
		if !wait.sleep(ctx, c.term.Lost()) {
			return 0, errUnknownOutcome
		}
	}
}

// attempt and settle don't end with ctx: who shuts a server down wants to know what has been written.
func (c *committer) attempt(ctx context.Context, rows []Row) (Rev, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	return c.term.Commit(ctx, rows)
}

func (c *committer) settle(ctx context.Context) (bool, Rev, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	return c.term.Settle(ctx)
}

// refuse answers g's members after a commit that failed. A returned error ends the term.
func (c *committer) refuse(g *group, err error) error {
	var rejected *RejectedError
	switch {
	case errors.Is(err, errUnknownOutcome):
		answer(g.members, ErrUnknown)
		return ErrFenced
	case errors.Is(err, ErrFenced):
		answer(g.members, ErrNotLeader)
		return ErrFenced
	case errors.As(err, &rejected):
		c.log.Error("the backend rejected a commit", "records", len(g.rows), "error", rejected.Err)
		err = fault.Internal(rejected.Err, "The state store refused the change.")
		if errors.Is(rejected, ErrFull) {
			err = ErrFull
			c.space.look()
		}
	}
	// The term goes on from what is durable. Whoever ran on top of this group runs again.
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head = c.durable.Load().state
	later := append(c.backlog, c.queue...)
	c.backlog, c.queue, c.busy = nil, nil, false
	answer(g.members, err)
	answer(later, errRerun)
	return nil
}

// abandon answers everybody who still waits, at the end of the term.
func (c *committer) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer(c.backlog, ErrNotLeader)
	answer(c.queue, ErrNotLeader)
	c.backlog, c.queue, c.busy, c.head = nil, nil, false, nil
	close(c.lost)
	c.ready, c.lost = make(chan struct{}), make(chan struct{})
}

func answer(ps []*pending, err error) {
	for _, p := range ps {
		p.err = err
		close(p.done)
	}
}

var errUnknownOutcome = errors.New("store: the outcome of a commit can't be known")

func certain(err error) bool {
	var rejected *RejectedError
	return errors.Is(err, ErrFenced) || errors.As(err, &rejected)
}

// backoff waits 20 ms, 40 ms ... 2 s.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: 20 * time.Millisecond} }

// sleep returns false when ctx or stop ended the wait.
func (b *backoff) sleep(ctx context.Context, stop <-chan struct{}) bool {
	t := time.NewTimer(b.next)
	defer t.Stop()
	b.next = min(2*b.next, 2*time.Second)
	select {
	case <-ctx.Done():
		return false
	case <-stop:
		return false
	case <-t.C:
		return true
	}
}
