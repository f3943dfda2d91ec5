package store

import (
	"errors"
	"fmt"

	"github.com/openberth/berth/internal/fault"
)

// What Update and View answer when the store itself is in the way. All are ServerExceptions: SDKs retry them.
var (
	// ErrNotLeader: this server can't write (any more, or yet). Nothing was written.
	ErrNotLeader = &fault.Error{Kind: fault.Server, Code: "ServerException",
		Message: "This server does not lead the cluster right now, so it can't accept changes. Nothing was changed; try again."}
	// ErrUnknown: leadership was lost while the change was being written, so it may or may not have happened.
	ErrUnknown = &fault.Error{Kind: fault.Server, Code: "ServerException",
		Message: "This server lost the leadership while it was writing the change, which may or may not have happened. Look before you try again."}
	// ErrNotLoaded: the store has not read its records yet.
	ErrNotLoaded = &fault.Error{Kind: fault.Server, Code: "ServerException",
		Message: "This server is starting and has not loaded its state yet; try again."}
	// ErrFull: the backend's space is nearly used up. Deletes still pass.
	ErrFull = &fault.Error{Kind: fault.Server, Code: "ServerException",
		Message: "The state store is almost full, so this change was refused. Delete what isn't needed (deletes are still accepted), or raise the store's quota."}
	// ErrFormat: the data was written by a newer Berth.
	ErrFormat = errors.New("store: the data has a format that this version of Berth does not know")
)

func errTooLarge(rows, bytes int, l Limits) error {
	return &fault.Error{Kind: fault.Server, Code: "ServerException", Message: fmt.Sprintf(
		"The change is too large to be made in one step: %d records and %d bytes, of at most %d records and %d bytes. Nothing was changed.",
		rows, bytes, l.Rows, l.Bytes)}
}
