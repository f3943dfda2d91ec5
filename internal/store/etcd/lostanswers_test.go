package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/storetest"
)

// lossyKV is a network to etcd that loses requests, loses answers, and delivers requests late: after the client has
// given up on them, and before or after what it sends next.
type lossyKV struct {
	clientv3.KV

	mu    sync.Mutex
	rng   *rand.Rand
	late  func()
	count map[string]int
}

var errLost = errors.New("injected: no answer")

func (kv *lossyKV) Txn(ctx context.Context) clientv3.Txn {
	return &lossyTxn{kv: kv, Txn: kv.KV.Txn(context.WithoutCancel(ctx))}
}

type lossyTxn struct {
	clientv3.Txn
	kv *lossyKV
}

func (x *lossyTxn) If(c ...clientv3.Cmp) clientv3.Txn  { x.Txn = x.Txn.If(c...); return x }
func (x *lossyTxn) Then(o ...clientv3.Op) clientv3.Txn { x.Txn = x.Txn.Then(o...); return x }
func (x *lossyTxn) Else(o ...clientv3.Op) clientv3.Txn { x.Txn = x.Txn.Else(o...); return x }

func (x *lossyTxn) Commit() (*clientv3.TxnResponse, error) {
	kv := x.kv
	kv.mu.Lock()
	defer kv.mu.Unlock()
	late := kv.late
	kv.late = nil
	if late != nil && kv.rng.IntN(2) == 0 {
		kv.count["late, before the next"]++
		late()
		late = nil
	}
	defer func() {
		if late != nil {
			kv.count["late, after the next"]++
			late()
		}
	}()
	switch kv.rng.IntN(20) {
	case 0:
		kv.count["request lost"]++
		return nil, errLost
	case 1:
		kv.count["answer lost"]++
		_, _ = x.Txn.Commit()
		return nil, errLost
	case 2:
		kv.late = func() { _, _ = x.Txn.Commit() }
		return nil, errLost
	}
	return x.Txn.Commit()
}

// TestLostAnswers runs the chaos test over such a network: late requests are what fencing by the election key alone
// would let through.
func TestLostAnswers(t *testing.T) {
	count := map[string]int{}
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			storetest.Chaos(t, storetest.Harness{
				Open: func(t testing.TB) store.Backend {
					b := startEmbedded(t, t.TempDir())
					b.WrapKV(func(kv clientv3.KV) clientv3.KV {
						return &lossyKV{KV: kv, rng: rand.New(rand.NewPCG(seed, 1)), count: count}
					})
					return b
				},
				Depose: depose,
			})
		})
	}
	for _, what := range []string{"request lost", "answer lost", "late, before the next", "late, after the next"} {
		if count[what] < 3 {
			t.Errorf("%s: only %d times, which proves nothing", what, count[what])
		}
	}
	t.Log(count)
}
