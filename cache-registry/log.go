package main

import (
	"log/slog"
	"os"
	"sync/atomic"
)

// Log is for the operator: JSON lines on the container's standard output, a few a build.
type Log struct{ *slog.Logger }

func newLog() *Log { return &Log{slog.New(slog.NewJSONHandler(os.Stdout, nil))} }

// Say writes a line.
func (l *Log) Say(event string, fields ...any) { l.Info(event, fields...) }

// flag goes up once and stays up.
type flag struct{ value atomic.Bool }

func (f *flag) up() bool { return f.value.Load() }

// raise tells whether it was this call that raised it.
func (f *flag) raise() bool { return f.value.CompareAndSwap(false, true) }
