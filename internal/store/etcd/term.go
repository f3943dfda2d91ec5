package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/openberth/berth/internal/store"
)

// term writes under the fence: one key that every commit compares with its last modification and replaces, so that
// commits form a chain that a new term cuts.
//
//	/berth/~fence = "<random token of the term>/<number of the step>"
//
// Why not compare the election key's create revision only, which is simpler? That fences an old leader too, but says
// nothing about a commit that timed out: it may be still on its way, and be applied after somebody has looked and
// found nothing. Stepping the fence makes an overtaken commit impossible, and the step's number tells whether it was
// applied. It costs one small key a commit.
type term struct {
	b      *Backend
	token  string
	step   int64 // of the newest commit or settlement, whose outcome may be unknown
	fence  int64 // the modification revision that the fence is known to have
	start  store.Rev
	lost   <-chan struct{}
	resign func(context.Context) error
}

// Campaign implements store.Backend.
func (b *Backend) Campaign(ctx context.Context, id string) (store.Term, error) {
	lost, resign, err := b.elect.campaign(ctx, id)
	if err != nil {
		return nil, err
	}
	t := &term{b: b, token: id + "/" + rand.Text(), lost: lost, resign: resign}
	if err := t.takeFence(ctx); err != nil {
		_ = resign(context.WithoutCancel(ctx))
		return nil, err
	}
	return t, nil
}

func (t *term) value(step int64) string { return fmt.Sprintf("%s/%d", t.token, step) }

// takeFence makes the fence ours, and thereby everybody else's commits impossible.
func (t *term) takeFence(ctx context.Context) error {
	for {
		now, err := t.b.client.Get(ctx, t.b.keys.fence())
		if err != nil {
			return err
		}
		if len(now.Kvs) > 0 {
			t.fence = now.Kvs[0].ModRevision
		}
		resp, err := t.exchange(ctx, nil)
		if err != nil {
			return err
		}
		if resp.Succeeded {
			t.start = store.Rev(t.fence) // every commit moved the fence, so this was the last one
			t.fence = resp.Header.Revision
			return nil
		}
	}
}

// exchange replaces the fence, and does what else is in ops, if the fence is as we know it; otherwise it reads it.
func (t *term) exchange(ctx context.Context, ops []clientv3.Op) (*clientv3.TxnResponse, error) {
	fence := t.b.keys.fence()
	return t.b.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(fence), "=", t.fence)).
		Then(append(ops, clientv3.OpPut(fence, t.value(t.step)))...).
		Else(clientv3.OpGet(fence)).
		Commit()
}

func (t *term) Rev() store.Rev        { return t.start }
func (t *term) Lost() <-chan struct{} { return t.lost }

func (t *term) Resign(ctx context.Context) error { return t.resign(ctx) }

// Commit implements store.Term.
func (t *term) Commit(ctx context.Context, rows []store.Row) (store.Rev, error) {
	ops := make([]clientv3.Op, 0, len(rows)+1)
	for _, row := range rows {
		key := t.b.keys.row(row.Kind, row.Key)
		if row.Value == nil {
			ops = append(ops, clientv3.OpDelete(key))
		} else {
			ops = append(ops, clientv3.OpPut(key, string(row.Value)))
		}
	}
	t.step++
	resp, err := t.exchange(ctx, ops)
	if err != nil {
		switch {
		case rejected(err):
			return 0, &store.RejectedError{Err: err}
		case noSpace(err):
			return t.afterNoSpace(ctx, err)
		}
		return 0, err
	}
	if resp.Succeeded {
		t.fence = resp.Header.Revision
		return store.Rev(t.fence), nil
	}
	applied, err := t.judge(resp)
	if err == nil && !applied {
		err = store.ErrFenced // only a commit of ours could have moved the fence to another step of ours
	}
	return store.Rev(t.fence), err
}

// afterNoSpace finds out whether the last commit was applied, without writing, which a full etcd refuses. That will do
// here, because etcd has answered: the commit isn't on its way any more.
func (t *term) afterNoSpace(ctx context.Context, noSpace error) (store.Rev, error) {
	now, err := t.b.client.Get(ctx, t.b.keys.fence())
	if err != nil {
		return 0, errors.Join(noSpace, err)
	}
	value, rev, err := t.found(now.Kvs)
	switch {
	case err != nil:
		return 0, err
	case value == t.value(t.step):
		t.fence = rev
		return store.Rev(rev), nil
	}
	return 0, &store.RejectedError{Err: store.ErrFull}
}

// Settle implements store.Term.
func (t *term) Settle(ctx context.Context) (bool, store.Rev, error) {
	inDoubt := t.value(t.step)
	t.step++
	resp, err := t.exchange(ctx, nil)
	t.step--
	if err != nil {
		return false, 0, err
	}
	if resp.Succeeded {
		// The fence has moved on from where the commit would have had to find it.
		t.fence = resp.Header.Revision
		t.step++
		return false, 0, nil
	}
	value, rev, err := t.found(readFence(resp))
	if err != nil {
		return false, 0, err
	}
	t.fence = rev
	if value == inDoubt {
		return true, store.Rev(rev), nil
	}
	t.step++ // an earlier settlement, whose answer was lost, came first
	return false, 0, nil
}

// judge says whether the fence, which isn't where we left it, is where the last commit put it: the client had sent
// that twice, or an answer was lost.
func (t *term) judge(resp *clientv3.TxnResponse) (applied bool, err error) {
	value, rev, err := t.found(readFence(resp))
	if err != nil {
		return false, err
	}
	if value != t.value(t.step) {
		return false, nil
	}
	t.fence = rev
	return true, nil
}

// readFence is what a failed exchange has read.
func readFence(resp *clientv3.TxnResponse) []*mvccpb.KeyValue {
	return resp.Responses[0].GetResponseRange().Kvs
}

// found is the fence, if it is still ours.
func (t *term) found(kvs []*mvccpb.KeyValue) (value string, rev int64, err error) {
	if len(kvs) == 0 || !strings.HasPrefix(string(kvs[0].Value), t.token+"/") {
		return "", 0, store.ErrFenced
	}
	return string(kvs[0].Value), kvs[0].ModRevision, nil
}
