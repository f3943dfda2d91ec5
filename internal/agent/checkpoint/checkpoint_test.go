package checkpoint

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"go.etcd.io/bbolt"
)

func open(t *testing.T, dir string, fp Failpoint) *DB {
	t.Helper()
	d, err := Open(dir, slog.New(slog.DiscardHandler), fp)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func closeDB(t *testing.T, d *DB) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsDurableIsThereAgain(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, nil)
	d.Put(Tasks, "a", []byte("1"), nil)
	d.Put(Tasks, "a", []byte("2"), nil)
	d.Put(Tasks, "gone", []byte("1"), nil)
	d.Delete(Tasks, "gone", nil)
	d.Put(Meta, KeyOwner, []byte("me"), nil)
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Put(Tasks, "b", []byte("3"), nil) // Close writes what is queued
	closeDB(t, d)

	d = open(t, dir, nil)
	defer closeDB(t, d)
	all, err := d.All(Tasks)
	if err != nil || fmt.Sprintf("%s", all) != "map[a:2 b:3]" {
		t.Errorf("%s %v", all, err)
	}
	if v, err := d.Get(Meta, KeyOwner); err != nil || string(v) != "me" {
		t.Errorf("%s %v", v, err)
	}
	if v, err := d.Get(Meta, "nothing"); err != nil || v != nil {
		t.Errorf("%s %v", v, err)
	}
}

// TestCommitsAreShared holds that many writers at once don't each wait for a disk write of their own.
func TestCommitsAreShared(t *testing.T) {
	commits, gate := 0, make(chan struct{})
	d := open(t, t.TempDir(), func(point string) error {
		if point == "before commit" {
			commits++
			<-gate
		}
		return nil
	})
	var done sync.WaitGroup
	for i := range 100 {
		done.Add(1)
		d.Put(Tasks, fmt.Sprint(i), []byte("x"), done.Done)
	}
	close(gate)
	done.Wait()
	closeDB(t, d)
	if commits > 3 {
		t.Errorf("%d commits", commits)
	}
}

func TestAFailedWriteIsRepeatedAndNobodyIsToldTooEarly(t *testing.T) {
	dir := t.TempDir()
	fails := 1
	d := open(t, dir, func(point string) error {
		if point == "before commit" && fails > 0 {
			fails--
			return errors.New("no space left on device")
		}
		return nil
	})
	told := make(chan struct{})
	d.Put(Tasks, "a", []byte("1"), func() {
		if fails != 0 {
			t.Error("told before it was written")
		}
		close(told)
	})
	<-told
	if v, err := d.Get(Tasks, "a"); err != nil || string(v) != "1" {
		t.Errorf("%s %v", v, err)
	}
	closeDB(t, d)
}

func TestOneAgentPerDirectory(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, nil)
	defer closeDB(t, d)
	if _, err := Open(dir, slog.New(slog.DiscardHandler), nil); !errors.Is(err, ErrLocked) {
		t.Errorf("second agent: %v", err)
	}
}

func TestAnotherFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, nil)
	if err := d.bolt.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(Meta)).Put([]byte(keyFormat), []byte("99")) }); err != nil {
		t.Fatal(err)
	}
	closeDB(t, d)
	if _, err := Open(dir, slog.New(slog.DiscardHandler), nil); err == nil {
		t.Error("misread")
	}
}
