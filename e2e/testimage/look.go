package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/openberth/berth/e2e/testimage/inside"
)

// probes are the subcommands that tell what a container sees, or try what it may do.
var probes = map[string]func(ctx context.Context, args []string) error{
	"see": func(ctx context.Context, _ []string) error {
		if err := show(); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	},
	"look": func(context.Context, []string) error { return show() },
	"read": func(_ context.Context, args []string) error {
		b, err := os.ReadFile(args[0])
		os.Stdout.Write(b)
		return err
	},
	"write": func(_ context.Context, args []string) error {
		return os.WriteFile(args[0], []byte(strings.Join(args[1:], " ")), 0o644)
	},
	"open": func(_ context.Context, args []string) error {
		flag := map[string]int{"r": os.O_RDONLY, "rw": os.O_RDWR}[args[1]]
		f, err := os.OpenFile(args[0], flag|syscall.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		return f.Close()
	},
	"dial": dial, "echo": echo, "linger": linger, "print": printLines, "seen": seen, "end": end,
}

func show() error { return json.NewEncoder(os.Stdout).Encode(inside.Look()) }

// dial prints what the web server at HOST:PORT answers.
func dial(_ context.Context, args []string) error {
	c, err := net.DialTimeout("tcp", args[0], 2*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	fmt.Fprintf(c, "GET / HTTP/1.0\r\n\r\n")
	_, err = io.Copy(os.Stdout, c)
	return err
}

// echo sends every datagram on UDP port PORT back.
func echo(ctx context.Context, args []string) error {
	c, err := net.ListenPacket("udp", ":"+args[0])
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { c.Close() })
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(b)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		c.WriteTo(b[:n], from)
	}
}

// linger waits for SIGTERM, prints when it came, and ends DURATION later.
func linger(ctx context.Context, args []string) error {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	fmt.Println("lingering")
	<-ctx.Done()
	fmt.Println("terminated at " + time.Now().UTC().Format(time.RFC3339Nano))
	<-time.After(d)
	return nil
}

// printLines prints TEXT, COUNT times, then waits.
func printLines(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range n {
		fmt.Println(args[1])
	}
	<-ctx.Done()
	return nil
}

// end waits for DURATION and ends with exit code CODE.
func end(_ context.Context, args []string) error {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	code, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	<-time.After(d)
	os.Exit(code)
	return nil
}

// seen writes the file PATH and ends with exit code CODE.
func seen(_ context.Context, args []string) error {
	if err := os.WriteFile(args[0], nil, 0o644); err != nil {
		return err
	}
	code, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	os.Exit(code)
	return nil
}
