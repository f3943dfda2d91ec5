package demo

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestImageArchive: the archive holds what `docker load` looks for, and the binary, executable.
func TestImageArchive(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "berth")
	if err := os.WriteFile(binary, []byte("not really a program"), 0o644); err != nil {
		t.Fatal(err)
	}
	archive, err := imageArchive(binary, "abc")
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name], _ = io.ReadAll(r)
	}
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 || manifest[0].RepoTags[0] != Image {
		t.Fatalf("manifest %s, %v", files["manifest.json"], err)
	}
	if !strings.Contains(string(files[manifest[0].Config]), `"Entrypoint":["/berth","demo","serve"]`) {
		t.Errorf("config %s", files[manifest[0].Config])
	}
	layer := tar.NewReader(strings.NewReader(string(files[manifest[0].Layers[0]])))
	if h, err := layer.Next(); err != nil || h.Name != "berth" || h.Mode&0o111 == 0 {
		t.Errorf("layer: %+v, %v", h, err)
	}
}

// TestServeEndsGracefully: a request in flight when SIGTERM comes is answered, a new one isn't, and Serve returns.
func TestServeEndsGracefully(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	ctx, sigterm := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, addr) }()
	for { // until it listens
		if Probe(t.Context(), "http://"+addr+"/health") == nil {
			break
		}
	}
	answered := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			answered <- err
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /slow?ms=300 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		close(begun)
		b, err := io.ReadAll(conn)
		if err == nil && !strings.Contains(string(b), "200 OK") {
			err = fmt.Errorf("got %q", b)
		}
		answered <- err
	}()
	<-begun
	// The server must have read the request before it is told to stop: a second one that is answered comes after it.
	if resp, err := http.Get("http://" + addr + "/slow?ms=50"); err != nil {
		t.Fatal(err)
	} else {
		resp.Body.Close()
	}
	sigterm()
	if err := <-answered; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if Probe(t.Context(), "http://"+addr+"/health") == nil {
		t.Error("it still answers")
	}
}
