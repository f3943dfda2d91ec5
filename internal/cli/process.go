package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processLock keeps the roles of a data directory ("server", "agent") to one process each, and tells others which one it is.
// The lock (flock) goes with the process, however it ends, so a pid that was left behind by a crash is never mistaken for a
// live one.
type processLock struct{ files []*os.File }

func lockPath(dataDir, role string) string { return filepath.Join(dataDir, role+".pid") }

// lockProcess takes the roles of dataDir for this process, all or none.
func lockProcess(dataDir string, roles ...string) (*processLock, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, err
	}
	l := &processLock{}
	for _, role := range roles {
		f, err := os.OpenFile(lockPath(dataDir, role), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			l.release()
			return nil, err
		}
		l.files = append(l.files, f)
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			l.release()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				pid, _ := holder(dataDir, role)
				return nil, fmt.Errorf("a berth %s (process %d) is running on %s already: stop it with `berth down`, or use another --data-dir", role, pid, dataDir)
			}
			return nil, err
		}
		err = f.Truncate(0)
		if err == nil {
			_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
		}
		if err != nil {
			l.release()
			return nil, err
		}
	}
	return l, nil
}

func (l *processLock) release() {
	for _, f := range l.files {
		f.Close()
	}
}

// holder returns the process that has the role in dataDir; ok is false when none does.
func holder(dataDir, role string) (pid int, ok bool) {
	f, err := os.Open(lockPath(dataDir, role))
	if err != nil {
		return 0, false
	}
	defer f.Close()
	// A shared lock that is granted means that nobody holds the exclusive one.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err == nil {
		return 0, false
	}
	b := make([]byte, 20)
	n, _ := f.Read(b)
	pid, err = strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return pid, err == nil && pid > 1
}

// stopHolder asks the process that has the role to end, and waits until it has let go.
func stopHolder(dataDir, role string, patience time.Duration) (pid int, stopped bool, err error) {
	pid, ok := holder(dataDir, role)
	if !ok {
		return 0, false, nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return pid, false, fmt.Errorf("stopping process %d: %w", pid, err)
	}
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if _, ok := holder(dataDir, role); !ok {
			return pid, true, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return pid, false, fmt.Errorf("process %d did not end within %s after SIGTERM: look at %s, then end it with kill -9 %d (nothing that was acknowledged is lost)",
		pid, patience, filepath.Join(dataDir, logName), pid)
}
