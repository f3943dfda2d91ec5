// Package demo is the sample that `berth demo` runs: an image made of the berth binary itself (no registry is needed),
// a web server in it that shows how it is started and stopped, and the service around it.
package demo

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/moby/moby/client"
)

// Image is the sample image's name.
const Image = "berth/sample:latest"

// labelBinary records which binary an image was made of, so that loading it again is free.
const labelBinary = "dev.berth.sample.binary-sha256"

// LoadImage makes the sample image from the binary at path and loads it into Docker; it does nothing when the image of
// the same binary is there. It returns whether it loaded anything.
func LoadImage(ctx context.Context, docker *client.Client, path string) (loaded bool, err error) {
	digest, err := fileDigest(path)
	if err != nil {
		return false, err
	}
	if have, err := docker.ImageInspect(ctx, Image); err == nil && have.Config != nil && have.Config.Labels[labelBinary] == digest {
		return false, nil
	}
	archive, err := imageArchive(path, digest)
	if err != nil {
		return false, err
	}
	defer archive.Close()
	resp, err := docker.ImageLoad(ctx, archive)
	if err != nil {
		return false, fmt.Errorf("loading the sample image into Docker: %w", err)
	}
	defer resp.Close()
	if _, err := io.Copy(io.Discard, resp); err != nil {
		return false, fmt.Errorf("loading the sample image into Docker: %w", err)
	}
	return true, nil
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// imageArchive writes a `docker save` archive of one layer with one file, /berth, to a temporary file.
func imageArchive(path, digest string) (*os.File, error) {
	layer, diffID, err := layerOf(path)
	if err != nil {
		return nil, err
	}
	defer os.Remove(layer.Name())
	defer layer.Close()

	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"created":      time.Unix(0, 0).UTC().Format(time.RFC3339),
		"config": map[string]any{
			"Entrypoint":   []string{"/berth", "demo", "serve"},
			"ExposedPorts": map[string]any{"8080/tcp": map[string]any{}},
			"Labels":       map[string]string{labelBinary: digest},
			"StopSignal":   "SIGTERM",
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + diffID}},
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(config)
	configName := hex.EncodeToString(sum[:]) + ".json"
	manifest, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{Image}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return nil, err
	}

	out, err := os.CreateTemp("", "berth-sample-*.tar")
	if err != nil {
		return nil, err
	}
	os.Remove(out.Name()) // only the open file is needed
	info, err := layer.Stat()
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(out)
	for _, f := range []struct {
		name string
		size int64
		r    io.Reader
	}{
		{configName, int64(len(config)), bytes.NewReader(config)},
		{"layer.tar", info.Size(), layer},
		{"manifest.json", int64(len(manifest)), bytes.NewReader(manifest)},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: f.size}); err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, f.r); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	_, err = out.Seek(0, io.SeekStart)
	return out, err
}

// layerOf writes the layer, positioned at its start, and its digest.
func layerOf(path string) (*os.File, string, error) {
	bin, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer bin.Close()
	info, err := bin.Stat()
	if err != nil {
		return nil, "", err
	}
	f, err := os.CreateTemp("", "berth-layer-*.tar")
	if err != nil {
		return nil, "", err
	}
	h := sha256.New()
	w := tar.NewWriter(io.MultiWriter(f, h))
	if err := w.WriteHeader(&tar.Header{Name: "berth", Mode: 0o755, Size: info.Size()}); err != nil {
		return nil, "", err
	}
	if _, err := io.Copy(w, bin); err != nil {
		return nil, "", err
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, "", err
	}
	return f, hex.EncodeToString(h.Sum(nil)), nil
}
