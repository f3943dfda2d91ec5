package store

import "context"

// Change is what happened to one record; Table.Change gives its contents.
type Change struct {
	Kind, Key string

	table         AnyTable
	before, after any // *T; nil: there was, or is, none
}

// Deleted says that the record is gone.
func (c Change) Deleted() bool { return c.after == nil }

// changeSet is one published group of changes, in a list that only grows at its end. Publishing appends one element,
// whatever the number of watchers; each watcher walks the list on its own goroutine, and what all have passed is
// garbage.
type changeSet struct {
	changes []Change
	passed  chan struct{} // closed when next is set
	next    *changeSet
}

func newChangeSet(changes []Change) *changeSet {
	return &changeSet{changes: changes, passed: make(chan struct{})}
}

// publish makes snap what View shows, then tells the watchers. Only Run's goroutine publishes.
func (s *Store) publish(snap *snapshot, changes []Change) {
	s.durable.Store(snap)
	if len(changes) == 0 {
		return
	}
	last, next := s.changes.Load(), newChangeSet(changes)
	last.next = next
	s.changes.Store(next)
	close(last.passed)
}

// Watch delivers the changes to the given tables (none: all) that become durable after Watch has returned, until ctx
// ends; then the channel is closed. View shows at least what has been delivered.
//
// Subscribe first, then View. Changes to a record that have not been received yet are merged into one, and vanish
// when the record is back to not existing; there is no order between records.
func (s *Store) Watch(ctx context.Context, tables ...AnyTable) <-chan []Change {
	wanted := map[AnyTable]bool{}
	for _, t := range tables {
		if _, ok := s.schema.position[t]; !ok {
			panic("store: Watch of table " + t.Kind() + ", which was not given to Open")
		}
		wanted[t] = true
	}
	if len(tables) == 0 {
		wanted = nil
	}
	out := make(chan []Change)
	go watch(ctx, s.changes.Load(), wanted, out)
	return out
}

func watch(ctx context.Context, at *changeSet, wanted map[AnyTable]bool, out chan<- []Change) {
	defer close(out)
	var merged mergedChanges
	for {
		var ready chan<- []Change // nil, which blocks, while there is nothing to deliver
		if len(merged.list) > 0 {
			ready = out
		}
		select {
		case <-ctx.Done():
			return
		case ready <- merged.list:
			merged = mergedChanges{}
		case <-at.passed:
			at = at.next
			for _, c := range at.changes {
				if wanted == nil || wanted[c.table] {
					merged.add(c)
				}
			}
		}
	}
}

// mergedChanges holds at most one change a record: first before, last after.
type mergedChanges struct {
	list []Change
	at   map[changeID]int
}

type changeID struct{ kind, key string }

func (m *mergedChanges) add(c Change) {
	if c.before == nil && c.after == nil {
		return // created and deleted within one commit
	}
	id := changeID{c.Kind, c.Key}
	i, again := m.at[id]
	if !again {
		if m.at == nil {
			m.at = map[changeID]int{}
		}
		m.at[id] = len(m.list)
		m.list = append(m.list, c)
		return
	}
	m.list[i].after = c.after
	if m.list[i].before != nil || c.after != nil {
		return
	}
	// Nothing before, nothing after: drop it. The last one takes its place.
	delete(m.at, id)
	end := len(m.list) - 1
	if i != end {
		m.list[i] = m.list[end]
		m.at[changeID{m.list[i].Kind, m.list[i].Key}] = i
	}
	m.list[end] = Change{}
	m.list = m.list[:end]
}
