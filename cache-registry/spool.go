package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

var (
	errSpoolFull = errors.New("the spool has no room")
	errCorrupt   = errors.New("the content is not what its digest says")
)

// Spool holds whole, checked blobs on a bounded volume: those that the build was promised, which stay, and those that
// are in S3 by now, which go when room is needed.
type Spool struct {
	folder string
	most   int64

	mu     sync.Mutex
	used   int64
	blobs  map[string]*spooled
	clock  int64
	number int64
}

type spooled struct {
	size     int64
	promised bool
	touched  int64
}

func newSpool(folder string, most int64) (*Spool, error) {
	// What a container before this one left is of no use: nobody knows whether it is whole.
	old, _ := filepath.Glob(filepath.Join(folder, "*"))
	for _, path := range old {
		os.RemoveAll(path)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	return &Spool{folder: folder, most: most, blobs: map[string]*spooled{}}, nil
}

// Draft is a blob that is arriving.
type Draft struct {
	spool  *Spool
	file   *os.File
	sum    hash.Hash
	size   int64
	number int64 // in the order of their starts
}

// Draft starts a blob.
func (s *Spool) Draft() (*Draft, error) {
	s.mu.Lock()
	s.number++
	number := s.number
	s.mu.Unlock()
	name := filepath.Join(s.folder, fmt.Sprintf("draft-%d", number))
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return &Draft{spool: s, file: file, sum: sha256.New(), number: number}, nil
}

// Write appends, if there is room.
func (d *Draft) Write(data []byte) (int, error) {
	if err := d.spool.take(int64(len(data))); err != nil {
		return 0, err
	}
	d.size += int64(len(data))
	count, err := d.file.Write(data)
	d.sum.Write(data[:count])
	return count, err
}

// Drop forgets the draft; harmless after Keep.
func (d *Draft) Drop() {
	if d.file != nil {
		d.file.Close()
		os.Remove(d.file.Name())
		d.spool.give(d.size)
		d.file = nil
	}
}

// Keep makes the draft a blob, if it is what the digest says.
func (d *Draft) Keep(digest string, promised bool) error {
	defer d.Drop()
	if "sha256:"+hex.EncodeToString(d.sum.Sum(nil)) != digest {
		return errCorrupt
	}
	if err := d.file.Close(); err != nil {
		return err
	}
	s := d.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.blobs[digest]; old != nil {
		promised = promised || old.promised
		s.used -= old.size
	}
	if err := os.Rename(d.file.Name(), s.path(digest)); err != nil {
		return err
	}
	s.clock++
	s.blobs[digest] = &spooled{size: d.size, promised: promised, touched: s.clock}
	d.file = nil
	return nil
}

// Open returns a blob and its size; promise: it must stay from now on. Nil where it is not here.
func (s *Spool) Open(digest string, promise bool) (*os.File, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	blob := s.blobs[digest]
	if blob == nil {
		return nil, 0
	}
	file, err := os.Open(s.path(digest))
	if err != nil {
		return nil, 0
	}
	s.clock++
	blob.touched = s.clock
	blob.promised = blob.promised || promise
	return file, blob.size
}

func (s *Spool) path(digest string) string {
	return filepath.Join(s.folder, strings.TrimPrefix(digest, "sha256:"))
}

func (s *Spool) take(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.used+size > s.most {
		if !s.evict() {
			return errSpoolFull
		}
	}
	s.used += size
	return nil
}

func (s *Spool) give(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= size
}

// evict removes the blob that was not used for longest, if there is one that was not promised.
func (s *Spool) evict() bool {
	oldest := ""
	for digest, blob := range s.blobs {
		if !blob.promised && (oldest == "" || blob.touched < s.blobs[oldest].touched) {
			oldest = digest
		}
	}
	if oldest == "" {
		return false
	}
	// Readers that have it open keep what they read.
	os.Remove(s.path(oldest))
	s.used -= s.blobs[oldest].size
	delete(s.blobs, oldest)
	return true
}

var _ io.Writer = (*Draft)(nil)
