package etcd_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openberth/berth/internal/store"
)

// berthTask has the size of a task record, about 600 bytes, and its indexes.
type berthTask struct {
	ID, Cluster, Service, Instance, State string
	N                                     int
	Padding                               string
}

type taskTable struct {
	tasks                        *store.Table[berthTask]
	byService, byInstance, state *store.Index[berthTask]
}

func newTaskTable() taskTable {
	one := func(get func(*berthTask) string) func(*berthTask) []string {
		return func(t *berthTask) []string { return []string{get(t)} }
	}
	tt := taskTable{
		byService:  store.NewIndex("service", one(func(t *berthTask) string { return t.Service })),
		byInstance: store.NewIndex("instance", one(func(t *berthTask) string { return t.Instance })),
		state:      store.NewIndex("state", one(func(t *berthTask) string { return t.State })),
	}
	tt.tasks = store.NewTable("task", func(t *berthTask) string { return t.ID }, tt.byService, tt.byInstance, tt.state)
	return tt
}

var padding = strings.Repeat("p", 420)

func newTask(n int) *berthTask {
	return &berthTask{ID: fmt.Sprintf("c/%032x", n*2654435761), Cluster: "c", Service: fmt.Sprint("service-", n%1000),
		Instance: fmt.Sprint("i-", n%500), State: "RUNNING", N: n, Padding: padding}
}

func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 64, 512} {
		b.Run(fmt.Sprint(writers, " writers"), func(b *testing.B) {
			tt := newTaskTable()
			s, _ := serve(b, startEmbedded(b, b.TempDir()), tt.tasks)
			<-s.Ready()
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for {
						n := int(next.Add(1))
						if n > b.N {
							return
						}
						_, err := s.Update(b.Context(), func(tx *store.Tx) error { tt.tasks.Put(tx, newTask(n)); return nil })
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
		})
	}
}

// BenchmarkWatch measures how long a change takes to reach the last of 1,000 watchers.
func BenchmarkWatch(b *testing.B) {
	const watchers = 1000
	tt := newTaskTable()
	s, _ := serve(b, startEmbedded(b, b.TempDir()), tt.tasks)
	<-s.Ready()
	told := make(chan struct{}, watchers)
	for range watchers {
		ch := s.Watch(b.Context(), tt.tasks)
		go func() {
			for range ch {
				told <- struct{}{}
			}
		}()
	}
	b.ResetTimer()
	for n := range b.N {
		if _, err := s.Update(b.Context(), func(tx *store.Tx) error { tt.tasks.Put(tx, newTask(n)); return nil }); err != nil {
			b.Fatal(err)
		}
		for range watchers {
			<-told
		}
	}
}

// BenchmarkLoad measures a start with 100,000 records and three indexes.
func BenchmarkLoad(b *testing.B) {
	const records = 100_000
	dir := b.TempDir()
	tt := newTaskTable()
	backend := startEmbedded(b, dir)
	s, stop := serve(b, backend, tt.tasks)
	<-s.Ready()
	for first := 0; first < records; first += 5000 {
		_, err := s.Update(b.Context(), func(tx *store.Tx) error {
			for n := range 5000 {
				tt.tasks.Put(tx, newTask(first+n))
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	stop()
	backend.Close()
	b.ResetTimer()
	var member, load time.Duration
	var heap uint64
	for range b.N {
		begin := time.Now()
		backend := startEmbedded(b, dir)
		member += time.Since(begin)
		base := heapInUse()
		begin = time.Now()
		s, stop := serve(b, backend, tt.tasks)
		<-s.Ready()
		load += time.Since(begin)
		heap = heapInUse() - base
		stop()
		backend.Close()
	}
	b.ReportMetric(member.Seconds()/float64(b.N), "s/start")
	b.ReportMetric(load.Seconds()/float64(b.N), "s/load")
	b.ReportMetric(float64(heap)/records, "heap-B/record")
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
