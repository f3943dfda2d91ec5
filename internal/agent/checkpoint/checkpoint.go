// Package checkpoint keeps what the agent must not forget, in a file in its data directory: who it is, which tasks it has
// accepted, what it knows of them and what it has reported.
//
// Writes are queued and committed together: while one commit waits for the disk, the next gathers. A later write of the
// same key replaces an earlier one that isn't on disk yet. What has to be durable before something else happens (a
// task before its acknowledgement) passes a function that is called then.
package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Bucket is a part of the checkpoint.
type Bucket string

// The buckets.
const (
	Meta  Bucket = "meta"
	Tasks Bucket = "tasks" // records by task ARN
)

// Keys of Meta.
const (
	KeyOwner       = "owner" // this data directory's id, which labels what belongs to it
	KeyCluster     = "cluster"
	KeyInstanceARN = "containerInstanceArn"
	KeyClientToken = "clientToken" // of a registration that hasn't been answered yet
	KeySeqNum      = "seqNum"
)

// format is the version of the file's layout; a file of another one is refused rather than misread.
const format = "1"

const keyFormat = "format"

// Failpoint is called at each point that a crash could fall in, for tests: an error stands for the crash.
type Failpoint func(point string) error

// DB is an open checkpoint.
type DB struct {
	bolt      *bbolt.DB
	log       *slog.Logger
	failpoint Failpoint

	mu      sync.Mutex
	pending map[key]*[]byte // nil: delete
	waiting []func()
	closed  bool

	wake chan struct{}
	done chan struct{}
}

type key struct {
	bucket Bucket
	name   string
}

// ErrLocked says that another process has the checkpoint open.
var ErrLocked = errors.New("the data directory is in use by another agent")

// Open opens the checkpoint in dir, making both if they are missing.
func Open(dir string, log *slog.Logger, fp Failpoint) (*DB, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("agent data directory: %w", err)
	}
	path := filepath.Join(dir, "agent.db")
	bolt, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 2 * time.Second, FreelistType: bbolt.FreelistMapType,
		NoFreelistSync: true})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open %s: %w", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = bolt.Update(func(tx *bbolt.Tx) error {
		for _, b := range []Bucket{Meta, Tasks} {
			if _, err := tx.CreateBucketIfNotExists([]byte(b)); err != nil {
				return err
			}
		}
		meta := tx.Bucket([]byte(Meta))
		switch have := meta.Get([]byte(keyFormat)); {
		case have == nil:
			return meta.Put([]byte(keyFormat), []byte(format))
		case string(have) != format:
			return fmt.Errorf("checkpoint has format %q, this agent reads %q", have, format)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), bolt.Close())
	}
	if fp == nil {
		fp = func(string) error { return nil }
	}
	d := &DB{bolt: bolt, log: log, failpoint: fp, pending: map[key]*[]byte{}, wake: make(chan struct{}, 1),
		done: make(chan struct{})}
	go d.write()
	return d, nil
}

// Close writes what is queued and closes the file.
func (d *DB) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.signal()
	<-d.done
	return d.bolt.Close()
}

// Get reads a durable value; nil if there is none.
func (d *DB) Get(b Bucket, name string) ([]byte, error) {
	var v []byte
	err := d.bolt.View(func(tx *bbolt.Tx) error {
		v = append(v, tx.Bucket([]byte(b)).Get([]byte(name))...)
		return nil
	})
	return v, err
}

// All reads all durable values of a bucket.
func (d *DB) All(b Bucket) (map[string][]byte, error) {
	all := map[string][]byte{}
	err := d.bolt.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(b)).ForEach(func(k, v []byte) error {
			all[string(k)] = append([]byte(nil), v...)
			return nil
		})
	})
	return all, err
}

// Put queues a write. Durable, if not nil, is called when it and everything queued before it is on disk; it must not block.
func (d *DB) Put(b Bucket, name string, value []byte, durable func()) {
	d.enqueue(key{b, name}, &value, durable)
}

// Delete queues the removal of a key.
func (d *DB) Delete(b Bucket, name string, durable func()) { d.enqueue(key{b, name}, nil, durable) }

// Sync waits until everything that is queued is on disk.
func (d *DB) Sync(ctx context.Context) error {
	done := make(chan struct{})
	d.Barrier(func() { close(done) })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Barrier calls durable when everything that is queued is on disk.
func (d *DB) Barrier(durable func()) {
	d.mu.Lock()
	d.waiting = append(d.waiting, durable)
	d.mu.Unlock()
	d.signal()
}

func (d *DB) enqueue(k key, value *[]byte, durable func()) {
	d.mu.Lock()
	d.pending[k] = value
	if durable != nil {
		d.waiting = append(d.waiting, durable)
	}
	d.mu.Unlock()
	d.signal()
}

func (d *DB) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// retryWrite is how long a full or broken disk is left alone before the next try.
const retryWrite = time.Second

func (d *DB) write() {
	defer close(d.done)
	for range d.wake {
		for {
			d.mu.Lock()
			batch, waiting, closed := d.pending, d.waiting, d.closed
			d.pending, d.waiting = map[key]*[]byte{}, nil
			d.mu.Unlock()
			if len(batch) == 0 && len(waiting) == 0 {
				if closed {
					return
				}
				break
			}
			if err := d.commit(batch); err != nil {
				if closed {
					d.log.Error("checkpoint lost at shutdown", "err", err)
					return
				}
				d.log.Error("checkpoint write failed, trying again", "err", err, "records", len(batch))
				d.giveBack(batch, waiting)
				time.Sleep(retryWrite)
				continue
			}
			for _, f := range waiting {
				f()
			}
		}
	}
}

func (d *DB) commit(batch map[key]*[]byte) error {
	if err := d.failpoint("before commit"); err != nil {
		return err
	}
	if len(batch) == 0 {
		return nil // only somebody waiting for what is on disk already
	}
	err := d.bolt.Update(func(tx *bbolt.Tx) error {
		for k, v := range batch {
			b := tx.Bucket([]byte(k.bucket))
			if v == nil {
				if err := b.Delete([]byte(k.name)); err != nil {
					return err
				}
			} else if err := b.Put([]byte(k.name), *v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.failpoint("after commit")
}

// giveBack queues again what couldn't be written, without overtaking what has been queued since.
func (d *DB) giveBack(batch map[key]*[]byte, waiting []func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, v := range batch {
		if _, newer := d.pending[k]; !newer {
			d.pending[k] = v
		}
	}
	d.waiting = append(waiting, d.waiting...)
}
