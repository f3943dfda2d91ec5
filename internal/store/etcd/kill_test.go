package etcd_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/etcd"
)

type note struct {
	ID string
	N  int
}

func notes() *store.Table[note] {
	return store.NewTable("note", func(n *note) string { return n.ID })
}

// childDir is the environment variable that turns this test binary into a writer.
const childDir = "BERTH_STORE_TEST_DIR"

// writeUntilKilled counts up, with two records a transaction and several writers, and prints what was acknowledged.
func writeUntilKilled(dir string) {
	ctx := context.Background()
	b, err := etcd.Start(ctx, etcd.EmbeddedConfig{Dir: dir, Logger: quiet})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	tab := notes()
	s := store.Open(b, store.Options{Logger: quiet}, tab)
	go func() {
		fmt.Println("error", s.Run(ctx))
		os.Exit(1)
	}()
	<-s.Ready()
	fmt.Println("ready", time.Now().UnixMilli())
	for range 4 {
		go func() {
			for {
				n := 0
				_, err := s.Update(ctx, func(tx *store.Tx) error {
					last, ok := tab.Get(tx, "last")
					n = 1
					if ok {
						n = last.N + 1
					}
					tab.Put(tx, &note{ID: "last", N: n})
					tab.Put(tx, &note{ID: fmt.Sprintf("note-%06d", n), N: n})
					return nil
				})
				if err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				fmt.Println("acked", n)
			}
		}()
	}
	select {}
}

// TestKilledServerLosesNothing kills a writer again and again, at moments between its first commit and some hundreds
// of commits later, and compares what it had been promised with what is there.
func TestKilledServerLosesNothing(t *testing.T) {
	dir := t.TempDir()
	kills, known := 12, 0
	if testing.Short() {
		kills = 3
	}
	for kill := range kills {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var fuse *time.Timer
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var word string
			var n int
			if _, err := fmt.Sscan(lines.Text(), &word, &n); err != nil {
				if word == "error" {
					t.Errorf("kill %d: the child says %q", kill, lines.Text())
				}
				continue // the last line can be cut off
			}
			switch word {
			case "ready":
				if took := time.Since(started); took > 8*time.Second {
					t.Errorf("kill %d: the restart took %v", kill, took)
				}
				fuse = time.AfterFunc(time.Duration(rand.IntN(120))*time.Millisecond, func() { _ = child.Process.Kill() })
			case "acked":
				known = max(known, n)
			}
		}
		_ = child.Wait() // "signal: killed"
		if fuse == nil {
			t.Fatalf("kill %d: the child never became ready", kill)
		}
		known = checkNotes(t, dir, fmt.Sprintf("kill %d", kill), known)
	}
	if known < kills {
		t.Errorf("only %d commits in all: that proves nothing", known)
	}
	t.Logf("%d commits, %d kills", known, kills)
}

func checkNotes(t *testing.T, dir, when string, known int) (last int) {
	t.Helper()
	b := startEmbedded(t, dir)
	tab := notes()
	s, stop := serve(t, b, tab)
	<-s.Ready()
	err := s.View(func(r store.Reader) error {
		if l, ok := tab.Get(r, "last"); ok {
			last = l.N
		}
		if last < known {
			t.Errorf("%s: %d was acknowledged, but the last one is %d", when, known, last)
		}
		if got := tab.Len(r); last > 0 && got != last+1 {
			t.Errorf("%s: the last is %d, but there are %d records", when, last, got-1)
		}
		want := 1
		for n := range tab.Prefix(r, "note-") {
			if n.N != want || n.ID != "note-"+fmt.Sprintf("%06s", strconv.Itoa(want)) {
				t.Errorf("%s: found %+v instead of %d", when, n, want)
				break
			}
			want++
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	stop()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	return last
}

func serve(t testing.TB, b store.Backend, tables ...store.AnyTable) (s *store.Store, stop func()) {
	t.Helper()
	s = store.Open(b, store.Options{Logger: quiet}, tables...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return s, stop
}
