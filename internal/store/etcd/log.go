package etcd

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger passes etcd's warnings and errors on. At its info level it reports every step of its start.
func newLogger(log *slog.Logger) *zap.Logger {
	return zap.New(&bridge{log: log.With("component", "etcd")})
}

// bridge is a zapcore.Core that writes to slog.
type bridge struct {
	log *slog.Logger
}

// noise is what etcd complains of in every process that embeds it as we do.
var noise = map[string]bool{
	// We serve neither.
	"Running http and grpc server on single port. This is not recommended for production.": true,
	// The quota that counts is below its maximum; see EmbeddedConfig.
	"quota exceeds the maximum value": true,
	// A data directory that is a second old has nothing to detect; it is tried again.
	"Failed to detect schema version":  true,
	"failed to update storage version": true,
	// A member that is stopped within its first second; the next start does it.
	"failed to update cluster version": true,
}

func (b *bridge) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }

func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{log: b.log.With(attrs(fields)...)}
}

func (b *bridge) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) && !noise[e.Message] {
		return ce.AddCore(e, b)
	}
	return ce
}

func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelWarn
	if e.Level >= zapcore.ErrorLevel {
		level = slog.LevelError
	}
	b.log.Log(context.Background(), level, e.Message, attrs(fields)...)
	return nil
}

func (b *bridge) Sync() error { return nil }

func attrs(fields []zapcore.Field) []any {
	enc := zapcore.NewMapObjectEncoder()
	all := make([]any, 0, 2*len(fields))
	for _, f := range fields {
		f.AddTo(enc)
	}
	for key, value := range enc.Fields {
		all = append(all, key, value)
	}
	return all
}
