package reconcile

import (
	"context"
	"errors"

	"github.com/openberth/berth/internal/store"
)

// Source is where a store feed gets its keys from.
type Source struct {
	Store *store.Store
	// Tables whose changes matter.
	Tables []store.AnyTable
	// All adds the key of every object that there is.
	All func(r store.Reader, add func(keys ...string))
	// Changed adds the keys of the objects that the changes may matter to. r shows at least the changes. A key too many
	// costs a look; a key too few is a change that nobody reacts to.
	Changed func(r store.Reader, changes []store.Change, add func(keys ...string))
}

var errWatchEnded = errors.New("reconcile: the store's watch ended")

// Feed follows the store: it subscribes, then adds all keys, then those that changes matter to.
func (s Source) Feed(ctx context.Context, add func(keys ...string)) error {
	changes := s.Store.Watch(ctx, s.Tables...)
	err := s.Store.View(func(r store.Reader) error {
		s.All(r, add)
		return nil
	})
	if err != nil {
		return err
	}
	for batch := range changes {
		err := s.Store.View(func(r store.Reader) error {
			s.Changed(r, batch, add)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errWatchEnded
}
