// Package observe sets up what operators watch Berth with: logs, metrics, and debug endpoints.
package observe

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Formats of the log.
const (
	FormatAuto = "auto" // text on a terminal, JSON elsewhere
	FormatText = "text"
	FormatJSON = "json"
)

// Keys are the attribute names of log records, so that one thing has one name everywhere. Messages are constant; what
// varies is an attribute.
const (
	KeyError     = "error"
	KeyRequestID = "requestId"
	KeyService   = "service"
	KeyOperation = "operation"
	KeyCode      = "code"
	KeyDuration  = "duration"
	KeyAddress   = "address"
	KeyCluster   = "cluster"
	KeyTask      = "task"
	KeyInstance  = "containerInstance"
	KeyContainer = "container"
	KeyPart      = "part"
	KeyStack     = "stack"
)

// NewLogger makes a logger that writes to w; level is debug, info, warn or error.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	min, err := ParseLevel(level)
	if err != nil {
		return nil, err
	}
	if format == FormatAuto || format == "" {
		format = FormatJSON
		if isTerminal(w) {
			format = FormatText
		}
	}
	options := &slog.HandlerOptions{Level: min}
	switch format {
	case FormatJSON:
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case FormatText:
		// On a terminal the day is known and the microseconds don't matter.
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.String(slog.TimeKey, a.Value.Time().Format("15:04:05.000"))
			}
			return a
		}
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return nil, fmt.Errorf("log format %q isn't one of %s, %s, %s", format, FormatAuto, FormatText, FormatJSON)
}

// ParseLevel reads a log level's name.
func ParseLevel(name string) (slog.Level, error) {
	switch strings.ToLower(name) {
	case "debug":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log level %q isn't one of debug, info, warn, error", name)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
