// Command probe is the program in the containers of the tests. It is built without cgo and put into an image alone.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(64)
	}
	switch os.Args[1] {
	case "serve": // until SIGTERM; on 8080 it says hello
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		if l, err := net.Listen("tcp", ":8080"); err == nil {
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					fmt.Fprint(c, "hello\n")
					c.Close()
				}
			}()
		}
		<-stop
	case "exit":
		code, _ := strconv.Atoi(os.Args[2])
		os.Exit(code)
	case "exit-after":
		d, _ := time.ParseDuration(os.Args[2])
		code, _ := strconv.Atoi(os.Args[3])
		time.Sleep(d)
		os.Exit(code)
	case "ignore-term":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(24 * time.Hour) // select{} would be a deadlock
	case "oom":
		var keep [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			keep = append(keep, b)
		}
	case "write": // write <file> <text>
		if err := os.WriteFile(os.Args[2], []byte(os.Args[3]), 0o644); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "expect": // expect <file> <text>
		b, err := os.ReadFile(os.Args[2])
		if err != nil || string(b) != os.Args[3] {
			fmt.Println(string(b), err)
			os.Exit(1)
		}
	case "dial": // dial <address>
		c, err := net.DialTimeout("tcp", os.Args[2], 5*time.Second)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		c.Close()
	case "burn": // one core, until killed
		for {
		}
	}
}
