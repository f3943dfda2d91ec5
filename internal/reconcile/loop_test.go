package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// start runs a loop until the test ends, and fails the test when Run returns an error.
func start(t *testing.T, opts Options) *Loop {
	t.Helper()
	opts.Name, opts.Logger = "test", quiet
	l := New(opts)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return l
}

// advance lets virtual time pass, and everything happen that is due.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// passes counts passes per key, and records when they began.
type passes struct {
	mu   sync.Mutex
	at   map[string][]time.Duration
	zero time.Time
}

func newPasses() *passes { return &passes{at: map[string][]time.Duration{}, zero: time.Now()} }

func (p *passes) begin(key string) (nth int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[key] = append(p.at[key], time.Since(p.zero))
	return len(p.at[key])
}

func (p *passes) want(t *testing.T, key string, at ...time.Duration) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.at[key], at) {
		t.Errorf("passes over %q began at %v, want %v", key, p.at[key], at)
	}
}

func TestKeyAddedWhileRunningRunsOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, release := newPasses(), make(chan struct{})
		l := start(t, Options{Workers: 4, Reconcile: func(ctx context.Context, key string) (time.Time, error) {
			p.begin(key)
			<-release
			return time.Time{}, nil
		}})
		l.Add("a")
		synctest.Wait()
		l.Add("a", "a")
		l.Add("a")
		synctest.Wait()
		p.want(t, "a", 0) // three idle workers, and none takes it
		release <- struct{}{}
		synctest.Wait()
		p.want(t, "a", 0, 0)
		release <- struct{}{}
		synctest.Wait()
		p.want(t, "a", 0, 0) // three adds were one
	})
}

func TestQueuedKeyIsTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, release := newPasses(), make(chan struct{})
		l := start(t, Options{Reconcile: func(ctx context.Context, key string) (time.Time, error) {
			p.begin(key)
			<-release
			return time.Time{}, nil
		}})
		l.Add("busy")
		synctest.Wait()
		l.Add("a", "b", "a")
		close(release)
		synctest.Wait()
		p.want(t, "a", 0)
		p.want(t, "b", 0)
	})
}

func TestWakeIsReplacedByTheNextPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPasses()
		l := start(t, Options{Reconcile: func(ctx context.Context, key string) (time.Time, error) {
			switch p.begin(key) {
			case 1:
				return time.Now().Add(time.Minute), nil
			case 2:
				return time.Now().Add(time.Hour), nil
			}
			return time.Time{}, nil
		}})
		l.Add("a")
		advance(30 * time.Second)
		l.Add("a") // before its time: the minute is void, the hour holds
		advance(24 * time.Hour)
		p.want(t, "a", 0, 30*time.Second, time.Hour+30*time.Second)
	})
}

func TestWakeInThePastIsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPasses()
		l := start(t, Options{Reconcile: func(ctx context.Context, key string) (time.Time, error) {
			if p.begin(key) < 3 {
				return time.Now(), nil
			}
			return time.Time{}, nil
		}})
		l.Add("a")
		synctest.Wait()
		p.want(t, "a", 0, 0, 0)
	})
}

func TestErrorsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPasses()
		l := start(t, Options{
			MinBackoff: time.Second, MaxBackoff: 5 * time.Second, Jitter: func() float64 { return 0 },
			Reconcile: func(ctx context.Context, key string) (time.Time, error) {
				switch n := p.begin(key); {
				case n == 3:
					panic("one bad record")
				case n <= 5:
					return time.Now().Add(time.Hour), errors.New("no") // with an error, the wake time doesn't count
				case n == 7:
					return time.Time{}, errors.New("again")
				}
				return time.Time{}, nil
			},
		})
		l.Add("a")
		advance(time.Minute)
		p.want(t, "a", 0, 1*time.Second, 3*time.Second, 7*time.Second, 12*time.Second, 17*time.Second)
		l.Add("a") // the 7th fails, but success has reset the pause
		advance(time.Minute)
		p.want(t, "a", 0, 1*time.Second, 3*time.Second, 7*time.Second, 12*time.Second, 17*time.Second, 60*time.Second, 61*time.Second)
	})
}

func TestChangeDoesNotWaitForTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPasses()
		l := start(t, Options{MinBackoff: time.Hour, MaxBackoff: time.Hour, Reconcile: func(ctx context.Context, key string) (time.Time, error) {
			if p.begin(key) == 1 {
				return time.Time{}, errors.New("no")
			}
			return time.Time{}, nil
		}})
		l.Add("a")
		advance(time.Second)
		l.Add("a")
		advance(3 * time.Hour)
		p.want(t, "a", 0, time.Second) // and the retry that was arranged is void
	})
}

func TestJitterShortensThePause(t *testing.T) {
	l := New(Options{MinBackoff: time.Second, MaxBackoff: time.Hour, Jitter: func() float64 { return 0.5 }})
	for n, want := range map[int]time.Duration{1: 750 * time.Millisecond, 2: 1500 * time.Millisecond, 100: 45 * time.Minute} {
		if got := l.backoff(n); got != want {
			t.Errorf("pause after failure %d is %v, want %v", n, got, want)
		}
	}
}

func TestOneWorkerAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		busy, most, total := map[string]bool{}, 0, 0
		l := start(t, Options{Workers: 8, Reconcile: func(ctx context.Context, key string) (time.Time, error) {
			mu.Lock()
			if busy[key] {
				t.Errorf("two workers on %s", key)
			}
			busy[key] = true
			total++
			most = max(most, len(busy))
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			delete(busy, key)
			mu.Unlock()
			return time.Time{}, nil
		}})
		for range 3 {
			for i := range 20 {
				l.Add(fmt.Sprint(i))
			}
			advance(500 * time.Millisecond)
		}
		advance(time.Minute)
		if most != 8 {
			t.Errorf("at most %d workers were busy, want all 8", most)
		}
		if total < 20+8 || total > 60 {
			t.Errorf("%d passes", total)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if n := len(l.keys); n != 0 {
			t.Errorf("%d idle keys are still remembered", n)
		}
	})
}

func TestRunEndsWithItsContextAndFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		noop := func(ctx context.Context, key string) (time.Time, error) {
			return time.Now().Add(time.Hour), nil
		}
		broken := errors.New("broken feed")
		l := New(Options{Reconcile: noop, Logger: quiet, Feed: func(ctx context.Context, add func(...string)) error {
			add("a")
			return broken
		}})
		if err := l.Run(t.Context()); !errors.Is(err, broken) {
			t.Errorf("Run = %v, want the feed's error", err)
		}
		l.Add("late") // harmless

		ctx, cancel := context.WithCancel(t.Context())
		l = New(Options{Reconcile: noop, Logger: quiet, Feed: func(ctx context.Context, add func(...string)) error {
			add("a")
			<-ctx.Done()
			return ctx.Err()
		}})
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Pass
		l := start(t, Options{
			Observe: func(p Pass) { got = append(got, p) },
			Reconcile: func(ctx context.Context, key string) (time.Time, error) {
				time.Sleep(2 * time.Second)
				return time.Time{}, nil
			},
		})
		l.Add("a", "b")
		advance(time.Minute)
		want := []Pass{{Key: "a", Took: 2 * time.Second, Pending: 1}, {Key: "b", Waited: 2 * time.Second, Took: 2 * time.Second}}
		if !slices.Equal(got, want) {
			t.Errorf("passes %v, want %v", got, want)
		}
	})
}
