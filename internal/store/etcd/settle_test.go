package etcd_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/openberth/berth/internal/store"
)

// scriptedKV treats one transaction after the other as its script says: "ok", "request lost", "answer lost", or "late"
// (sent when deliver is called). What isn't in the script is ok.
type scriptedKV struct {
	clientv3.KV
	script []string
	late   []clientv3.Txn
}

func (kv *scriptedKV) Txn(ctx context.Context) clientv3.Txn {
	return &scriptedTxn{Txn: kv.KV.Txn(context.WithoutCancel(ctx)), kv: kv}
}

func (kv *scriptedKV) deliver() {
	for _, x := range kv.late {
		_, _ = x.Commit()
	}
	kv.late = nil
}

type scriptedTxn struct {
	clientv3.Txn
	kv *scriptedKV
}

func (x *scriptedTxn) If(c ...clientv3.Cmp) clientv3.Txn  { x.Txn = x.Txn.If(c...); return x }
func (x *scriptedTxn) Then(o ...clientv3.Op) clientv3.Txn { x.Txn = x.Txn.Then(o...); return x }
func (x *scriptedTxn) Else(o ...clientv3.Op) clientv3.Txn { x.Txn = x.Txn.Else(o...); return x }

func (x *scriptedTxn) Commit() (*clientv3.TxnResponse, error) {
	what := "ok"
	if len(x.kv.script) > 0 {
		what, x.kv.script = x.kv.script[0], x.kv.script[1:]
	}
	switch what {
	case "request lost":
		return nil, errLost
	case "answer lost":
		_, _ = x.Txn.Commit()
		return nil, errLost
	case "late":
		x.kv.late = append(x.kv.late, x.Txn)
		return nil, errLost
	}
	if strings.HasPrefix(what, "full") {
		if what == "full, but applied" {
			_, _ = x.Txn.Commit()
		}
		return nil, rpctypes.ErrNoSpace
	}
	return x.Txn.Commit()
}

// TestSettle plays what can happen to a commit and to the settlements that follow, until one is answered.
func TestSettle(t *testing.T) {
	b := startEmbedded(t, t.TempDir())
	kv := &scriptedKV{}
	b.WrapKV(func(inner clientv3.KV) clientv3.KV { kv.KV = inner; return kv })
	ctx := t.Context()
	term, err := b.Campaign(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		script  string
		applied bool
	}{
		{"request lost; ok", false},
		{"answer lost; ok", true},
		{"late; ok", false},
		{"request lost; request lost; ok", false},
		{"request lost; answer lost; ok", false},
		{"request lost; late; ok", false},
		{"answer lost; request lost; ok", true},
		{"answer lost; answer lost; ok", true},
		{"answer lost; late; ok", true},
		{"late; answer lost; ok", false},
		{"late; late; answer lost; late; ok", false},
		{"full, but applied", true},
		{"full", false},
		{"request lost; full; ok", false},
		{"request lost; full, but applied; ok", false},
		{"answer lost; full; ok", true},
	} {
		kv.script = strings.Split(test.script, "; ")
		rev, err := term.Commit(ctx, []store.Row{{Kind: "boat", Key: "a", Value: []byte(test.script)}})
		applied := err == nil
		for err != nil {
			var rejected *store.RejectedError
			if errors.As(err, &rejected) {
				break
			}
			if !errors.Is(err, errLost) && !errors.Is(err, rpctypes.ErrNoSpace) {
				t.Fatalf("%s: %v", test.script, err)
			}
			applied, rev, err = term.Settle(ctx)
		}
		kv.script = nil
		kv.deliver()
		if applied != test.applied {
			t.Errorf("%s: applied=%v, want %v", test.script, applied, test.applied)
		}
		if rows, at := loadRows(t, b); (rows["boat a"] == test.script) != applied || applied && at < rev {
			t.Errorf("%s: applied=%v at %d, but at %d the row is %q", test.script, applied, rev, at, rows["boat a"])
		}
		// The term goes on.
		if _, err := term.Commit(ctx, []store.Row{{Kind: "boat", Key: "a", Value: []byte("between")}}); err != nil {
			t.Fatalf("%s: the next commit: %v", test.script, err)
		}
	}
}

func loadRows(t *testing.T, b store.Backend) (map[string]string, store.Rev) {
	t.Helper()
	rows := map[string]string{}
	rev, err := b.Load(t.Context(), func(row store.Row) error { // few rows: one goroutine
		rows[row.Kind+" "+row.Key] = string(row.Value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows, rev
}
