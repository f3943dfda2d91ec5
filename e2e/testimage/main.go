// Command testimage is the one program of the end-to-end tests' image: each subcommand is a container that behaves, or
// misbehaves, in one known way.
//
//	serve [-port 8080] [-sick-after 3s]   a web server; SIGTERM ends it with exit code 0
//	sleep                                 waits; SIGTERM ends it with exit code 7, so that a graceful stop can be told apart
//	deaf                                  waits, and ignores SIGTERM: only SIGKILL ends it
//	exit CODE                             ends at once
//	eat MIB                               allocates memory, and touches it, until it is killed
//	probe [-port 8080]                    the health check of serve
//	env                                   prints its environment, then waits
//	see                                   prints what it sees of itself as JSON (package inside), then waits
//	look                                  the same, without waiting: for docker exec
//	read PATH, write PATH TEXT            a file, to standard output or from the command line
//	open PATH r|rw                        whether the file can be opened
//	dial HOST:PORT                        what a web server answers
//	echo PORT                             sends datagrams back
//	linger DURATION                       waits; SIGTERM ends it with exit code 0, but only DURATION later
//	print COUNT TEXT                      prints the text so often, then waits
//	end DURATION CODE                     ends after a while with the exit code
//	seen PATH CODE                        writes an empty file and ends with the exit code
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: testimage SUBCOMMAND [ARGS...]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch os.Args[1] {
	case "serve":
		serve(ctx)
	case "sleep":
		fmt.Println("sleeping")
		<-ctx.Done()
		os.Exit(7)
	case "deaf":
		signal.Reset(syscall.SIGTERM)
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		<-time.After(24 * time.Hour)
	case "exit":
		code, _ := strconv.Atoi(os.Args[2])
		os.Exit(code)
	case "eat":
		eat()
	case "probe":
		probe()
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
		<-ctx.Done()
	default:
		if f, ok := probes[os.Args[1]]; ok {
			if err := f(ctx, os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
		fmt.Fprintf(os.Stderr, "testimage: unknown subcommand %q\n", os.Args[1])
		os.Exit(2)
	}
}

// option returns the value after -name, or def.
func option(name, def string) string {
	for i := 2; i+1 < len(os.Args); i++ {
		if os.Args[i] == "-"+name {
			return os.Args[i+1]
		}
	}
	return def
}

func serve(ctx context.Context) {
	host, _ := os.Hostname()
	started := time.Now()
	sickAfter, _ := time.ParseDuration(option("sick-after", "0s"))
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		if sickAfter > 0 && time.Since(started) > sickAfter {
			http.Error(w, "sick", http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\n", host, os.Getenv("REVISION"))
	})
	srv := &http.Server{Addr: ":" + option("port", "8080"), Handler: mux}
	go func() {
		<-ctx.Done()
		srv.Shutdown(context.Background())
	}()
	fmt.Println("serving")
	if err := srv.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func eat() {
	mib, _ := strconv.Atoi(os.Args[2])
	var kept [][]byte
	for range mib {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	fmt.Println(len(kept))
	<-time.After(24 * time.Hour)
}

func probe() {
	c := http.Client{Timeout: 2 * time.Second}
	resp, err := c.Get("http://127.0.0.1:" + option("port", "8080") + "/health")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if resp.StatusCode != http.StatusOK {
		fmt.Println(resp.Status)
		os.Exit(1)
	}
}
