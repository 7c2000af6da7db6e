// Cache-registry serves Kaniko's layer cache inside a job pod and keeps it in S3.
//
// It listens on the pod's loopback address only and is the one container with S3 keys. What a build is told to be in the
// cache has been fetched and checked before, so nothing that happens to S3 can fail a build: it can only make it cold.
// docs/design.md, "The layer cache", has the reasons and the figures.
package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"
)

const (
	repository = "layers"
	// After the end was asked for: for requests under way, and entries that are being copied forward.
	grace = 5 * time.Second
	// The collector is to be busy long before the container's limit; the kernel's cache of the spool needs room, too.
	memoryLimit = 96 << 20
)

func main() {
	log := newLog()
	if err := serve(log); err != nil {
		log.Error("ended", "error", err.Error())
		os.Exit(1)
	}
	log.Say("ended")
}

func serve(log *Log) error {
	debug.SetMemoryLimit(memoryLimit)
	settings, err := parseSettings(os.Getenv("LAYER_CACHE"))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	spool, err := newSpool(filepath.Join(settings.Spool, "layers"), settings.SpoolBytes)
	if err != nil {
		return err
	}
	budget, story := newBudget(time.Duration(settings.PatienceSeconds)*time.Second), new(Story)
	store, err := newStore(ctx, settings, budget, story, log)
	if err != nil {
		return err
	}
	cache := newCache(settings, store, spool, story, log)
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: newRegistry(cache, budget).routes(repository), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Say("serving", "address", listener.Addr().String(), "bucket", settings.Bucket, "prefix", settings.Prefix)
	go func() {
		awaitEnd(ctx, settings)
		served <- nil
	}()
	if err := <-served; err != nil {
		return err
	}
	ending, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	server.Shutdown(ending)
	cache.finish(ending)
	return nil
}

// awaitEnd returns when the container is told to end, or when the pod is not in use any more.
func awaitEnd(ctx context.Context, settings Settings) {
	look := time.NewTicker(lookPeriod)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if settings.Pulse != "" && !inUse(settings.Pulse, time.Duration(settings.IdleSeconds)*time.Second) {
				return
			}
		}
	}
}

var lookPeriod = 5 * time.Second

// inUse: the helper's first process touches the folder every few seconds, as long as it lives. The pod of a failed job
// is kept for people, and S3 keys are not for them: then there is a file `end`.
func inUse(pulse string, idle time.Duration) bool {
	if _, err := os.Stat(filepath.Join(pulse, "end")); err == nil {
		return false
	}
	folder, err := os.Stat(pulse)
	return err == nil && time.Since(folder.ModTime()) <= idle
}
