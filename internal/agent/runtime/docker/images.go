package docker

import (
	"context"
	"errors"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/client"

	"github.com/openberth/berth/internal/agent/runtime"
)

// Bounds of a pull (agent-protocol 8.5).
const (
	pullTimeout  = 2 * time.Hour
	pullTries    = 5
	pullRetryMin = 1100 * time.Millisecond
	pullRetryMax = 5 * time.Second
)

// PullImage implements runtime.Images. Pulls of one image at the same time are one pull.
func (r *Runtime) PullImage(ctx context.Context, image string, behaviour runtime.PullBehaviour) (runtime.Image, error) {
	if behaviour == runtime.PullPreferCached || behaviour == runtime.PullOnce && r.hasPulled(image) {
		img, err := r.local(ctx, image)
		if err == nil || !cerrdefs.IsNotFound(err) {
			return img, translate(err)
		}
	}
	type result struct {
		started, stopped time.Time
	}
	wait := r.pulls.DoChan(image, func() (any, error) {
		// Of nobody's context: whoever else waits for this image shouldn't lose it because one task was stopped.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pullTimeout)
		defer cancel()
		started := time.Now()
		err := r.pull(ctx, image, behaviour)
		return result{started, time.Now()}, err
	})
	var pulled result
	var pullErr error
	select {
	case <-ctx.Done():
		return runtime.Image{}, ctx.Err()
	case res := <-wait:
		pulled, pullErr = res.Val.(result), res.Err
	}
	if pullErr != nil && (behaviour == runtime.PullAlways || behaviour == runtime.PullOnce || errors.Is(pullErr, runtime.ErrUnavailable)) {
		return runtime.Image{}, pullErr
	}
	img, err := r.local(ctx, image)
	if err != nil {
		if pullErr != nil && cerrdefs.IsNotFound(err) {
			err = pullErr // what went wrong first says more than that the image isn't here
		}
		return runtime.Image{}, translate(err)
	}
	if pullErr != nil {
		img.Warning = pullErr.Error()
		return img, nil
	}
	img.PullStarted, img.PullStopped = pulled.started, pulled.stopped
	return img, nil
}

func (r *Runtime) hasPulled(image string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pulled[image]
}

// pull asks the registry, several times unless there is a local image to fall back on: a start that waits for a registry
// that can't be reached, with the image at hand, would be 14 s late for nothing.
func (r *Runtime) pull(ctx context.Context, image string, behaviour runtime.PullBehaviour) error {
	tries := r.tries
	if behaviour == runtime.PullDefault {
		if _, err := r.local(ctx, image); err == nil {
			tries = 1
		}
	}
	wait := pullRetryMin
	for try := 1; ; try++ {
		err := r.pullOnce(ctx, image)
		switch {
		case err == nil:
			r.mu.Lock()
			r.pulled[image] = true
			r.mu.Unlock()
			return nil
		case try == tries, !retryable(err):
			return translate(err)
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, pullRetryMax)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// retryable tells a registry that didn't answer from one that said no.
func retryable(err error) bool {
	return !cerrdefs.IsNotFound(err) && !cerrdefs.IsUnauthorized(err) && !cerrdefs.IsPermissionDenied(err) && !cerrdefs.IsInvalidArgument(err)
}

func (r *Runtime) pullOnce(ctx context.Context, image string) error {
	res, err := r.api.ImagePull(ctx, image, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	defer res.Close()
	return res.Wait(ctx)
}

// local looks the image up in the daemon's own store.
func (r *Runtime) local(ctx context.Context, image string) (runtime.Image, error) {
	res, err := r.api.ImageInspect(ctx, image)
	if err != nil {
		return runtime.Image{}, err
	}
	img := runtime.Image{ID: res.ID}
	for _, d := range res.RepoDigests {
		ref, err := reference.ParseNormalizedNamed(d)
		if err != nil {
			continue
		}
		if digested, ok := ref.(reference.Digested); ok && sameRepository(image, ref) {
			img.Digest = digested.Digest().String()
		}
	}
	return img, nil
}

func sameRepository(image string, ref reference.Named) bool {
	named, err := reference.ParseNormalizedNamed(image)
	return err == nil && named.Name() == ref.Name()
}
