package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Why the cache was not used, or not for everything. The numbers are part of the protocol: executor/stages/story.py has
// the words.
type Reason int64

const (
	reasonNone Reason = iota
	reasonUnreachable
	reasonSlow
	reasonForbidden
	reasonFull
	reasonFailed
	reasonNoKeys
	reasonNoBucket
)

// Story is what became of the cache since the last time that somebody asked.
type Story struct {
	hits, misses, lost, corrupt  atomic.Int64
	read, written, dropped, full atomic.Int64
	requests                     atomic.Int64
	saved                        atomic.Int64 // milliseconds

	mu     sync.Mutex
	reason Reason
}

// Blame notes a reason; the first one is the cause of the others.
func (s *Story) Blame(reason Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == reasonNone {
		s.reason = reason
	}
}

// Take returns the counts as one line of numbers and begins anew; the reason stays.
func (s *Story) Take(waited time.Duration) string {
	s.mu.Lock()
	reason := s.reason
	s.mu.Unlock()
	return fmt.Sprintf("%d %d %d %d %d %d %d %d %d %d %d %d\n",
		s.hits.Swap(0), s.misses.Swap(0), s.lost.Swap(0), s.corrupt.Swap(0), s.read.Swap(0), s.written.Swap(0),
		s.dropped.Swap(0), s.full.Swap(0), s.requests.Swap(0), waited.Milliseconds(), s.saved.Swap(0), reason)
}
