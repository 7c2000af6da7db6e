package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// What a request to S3 may take before it counts as slow: so long, and so many bytes a second.
const (
	usualWait   = 300 * time.Millisecond
	slowestRate = 4 << 20
	tick        = 50 * time.Millisecond
)

var errOutOfPatience = errors.New("S3 was too slow or did not answer; the cache is given up for this build")

// Budget bounds what a slow or silent S3 may cost a build. While any request is slower than it should be, time is taken
// from it, once for all requests together; when nothing is left every request ends, and no other begins.
type Budget struct {
	mu    sync.Mutex
	left  time.Duration
	calls map[*Call]struct{}
	// watched: somebody looks at the clock.
	watched bool
	since   time.Time
	waited  time.Duration
	spent   context.Context
	spend   context.CancelCauseFunc
}

// Call is one request to S3.
type Call struct {
	budget  *Budget
	started time.Time
	moved   atomic.Int64
	ended   sync.Once
	forget  func() bool
}

func newBudget(patience time.Duration) *Budget {
	spent, spend := context.WithCancelCause(context.Background())
	return &Budget{left: patience, calls: map[*Call]struct{}{}, spent: spent, spend: spend}
}

// Begin starts a request. Its context ends when the budget does; the caller calls End in any case.
func (b *Budget) Begin(parent context.Context) (context.Context, *Call, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent.Err() != nil {
		return nil, nil, errOutOfPatience
	}
	ctx, cancel := context.WithCancelCause(parent)
	call := &Call{budget: b, started: time.Now()}
	call.forget = context.AfterFunc(b.spent, func() { cancel(errOutOfPatience) })
	if len(b.calls) == 0 {
		b.since = call.started
	}
	if !b.watched {
		b.watched = true
		go b.watch()
	}
	b.calls[call] = struct{}{}
	return ctx, call, nil
}

// Moved tells that bytes went over the line.
func (c *Call) Moved(count int) { c.moved.Add(int64(count)) }

// End is the end of the request.
func (c *Call) End() {
	c.ended.Do(func() {
		c.forget()
		c.budget.mu.Lock()
		defer c.budget.mu.Unlock()
		delete(c.budget.calls, c)
		if len(c.budget.calls) == 0 {
			c.budget.waited += time.Since(c.budget.since)
		}
	})
}

func (c *Call) late(now time.Time) bool {
	allowed := usualWait + time.Duration(float64(c.moved.Load())/slowestRate*float64(time.Second))
	return now.Sub(c.started) > allowed
}

// Spent tells whether nothing is left.
func (b *Budget) Spent() bool { return b.spent.Err() != nil }

// TakeWaited returns for how long at least one request was under way since the last call.
func (b *Budget) TakeWaited() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	waited := b.waited
	b.waited = 0
	if len(b.calls) > 0 {
		waited += time.Since(b.since)
		b.since = time.Now()
	}
	return waited
}

// watch runs while there are requests.
func (b *Budget) watch() {
	last := time.Now()
	for {
		time.Sleep(tick)
		now := time.Now()
		b.mu.Lock()
		late := false
		for call := range b.calls {
			late = late || call.late(now)
		}
		if late {
			b.left -= now.Sub(last)
		}
		over := len(b.calls) == 0
		if b.left <= 0 {
			b.spend(errOutOfPatience)
			over = true
		}
		b.watched = !over
		b.mu.Unlock()
		if over {
			return
		}
		last = now
	}
}
