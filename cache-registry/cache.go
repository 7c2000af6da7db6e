package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Layout in the bucket, below <prefix>/<generation>/:
//
//	entries/<key>   one JSON object: a manifest and its small blobs, the config among them
//	blobs/<hex>     a larger blob, by its SHA-256
//
// So a hit takes two requests, and a push four. Blobs are written before the entry that names them, and everything is
// either named by its content or replaced whole, so that any number of writers may work at once.

const (
	// A blob up to this size lies in its entry.
	smallest = 64 << 10
	// Small blobs that wait for their manifest, all together.
	mostSmall = 16 << 20
	// A manifest, and an entry with its small blobs.
	mostManifest = 1 << 20
	mostEntry    = 8 << 20
	// What a manifest may name; Kaniko's entries have one layer. Each is a request to S3 for whoever reads the entry.
	mostNamed = 16
	// An entry may say that a layer took so long to make.
	longestBuild = 24 * time.Hour
	// Entries that are remembered, so that the same one need not be pushed again.
	mostKnown = 1000
)

var (
	errOff         = errors.New("the cache is off")
	errUnknownBlob = errors.New("the manifest names a blob that is not here")
)

// Entry is what a key of Kaniko's stands for.
type Entry struct {
	MediaType string            `json:"media_type"`
	Manifest  []byte            `json:"manifest"`
	Blobs     map[string][]byte `json:"blobs"`
	// BuiltMillis is how long Kaniko took to make it.
	BuiltMillis int64 `json:"built_millis"`
}

type descriptor struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// references returns what a manifest names.
func references(manifest []byte) ([]descriptor, error) {
	var image struct {
		Config *descriptor  `json:"config"`
		Layers []descriptor `json:"layers"`
	}
	if err := json.Unmarshal(manifest, &image); err != nil {
		return nil, err
	}
	if image.Config == nil {
		return nil, errors.New("no manifest of an image")
	}
	all := append([]descriptor{*image.Config}, image.Layers...)
	if len(all) > mostNamed {
		return nil, fmt.Errorf("%d blobs", len(all))
	}
	for _, one := range all {
		if !digestForm.MatchString(one.Digest) {
			return nil, fmt.Errorf("no digest: %q", one.Digest)
		}
	}
	return all, nil
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Cache knows where entries lie, and what this pod has of them.
type Cache struct {
	settings Settings
	store    *Store
	spool    *Spool
	story    *Story
	log      *Log
	now      func() time.Time

	once       sync.Once
	own        string   // <prefix>/<generation> that is written
	places     []string // that are read, in this order
	background sync.WaitGroup
	fetching   keyedLock

	mu        sync.Mutex
	small     map[string][]byte
	smallSize int
	known     map[string]*Entry // read or written by this pod
	stored    map[string]bool   // blobs that are in S3 at our own place
	broken    map[string]bool   // blobs that are there and must be written again
	dropped   map[string]bool   // blobs that were taken and not kept
	built     map[string]int64  // milliseconds that a blob took to make
	last      time.Time         // when Kaniko last began to build something, as far as is known
}

func newCache(settings Settings, store *Store, spool *Spool, story *Story, log *Log) *Cache {
	return &Cache{
		settings: settings, store: store, spool: spool, story: story, log: log, now: time.Now,
		small: map[string][]byte{}, known: map[string]*Entry{}, stored: map[string]bool{}, broken: map[string]bool{},
		dropped: map[string]bool{}, built: map[string]int64{},
	}
}

// place settles the generation at the first request: a pod may have started long before its job.
func (c *Cache) place() {
	c.once.Do(func() {
		number := c.settings.generation(c.now())
		at := func(prefix string, number int64) string { return fmt.Sprintf("%s/%d", prefix, number) }
		c.own = at(c.settings.Prefix, number)
		c.places = []string{c.own, at(c.settings.Prefix, number-1)}
		if c.settings.AlsoRead != "" {
			c.places = append(c.places, at(c.settings.AlsoRead, number), at(c.settings.AlsoRead, number-1))
		}
		c.log.Say("in use", "place", c.own, "read_only", c.settings.ReadOnly)
	})
}

func entryAt(place, key string) string   { return place + "/entries/" + key }
func blobAt(place, digest string) string { return place + "/blobs/" + digest[len("sha256:"):] }

// LookUp returns an entry all of whose blobs are here and are what their digests say, or errAbsent. So a build that is
// told of a hit needs S3 no more, whatever becomes of it.
func (c *Cache) LookUp(ctx context.Context, key string) (*Entry, error) {
	c.place()
	began := c.now()
	entry, place, err := c.find(ctx, key)
	if err == nil {
		err = c.fetch(ctx, entry, place)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = c.now()
	if err != nil {
		c.story.misses.Add(1)
		return nil, errAbsent
	}
	c.story.hits.Add(1)
	if saved := entry.BuiltMillis - c.now().Sub(began).Milliseconds(); saved > 0 {
		c.story.saved.Add(saved)
	}
	c.remember(key, entry)
	for digest, content := range entry.Blobs {
		c.addSmall(digest, content)
	}
	if place == c.places[1] && !c.settings.ReadOnly {
		c.background.Add(1)
		go c.copyForward(key, entry, place)
	}
	return entry, nil
}

// find asks our own place first, and the others together.
func (c *Cache) find(ctx context.Context, key string) (*Entry, string, error) {
	if entry, err := c.read(ctx, c.places[0], key); err == nil {
		return entry, c.places[0], nil
	}
	others := c.places[1:]
	found := make([]*Entry, len(others))
	var all sync.WaitGroup
	for number, place := range others {
		all.Go(func() { found[number], _ = c.read(ctx, place, key) })
	}
	all.Wait()
	for number, entry := range found {
		if entry != nil {
			return entry, others[number], nil
		}
	}
	return nil, "", errAbsent
}

func (c *Cache) read(ctx context.Context, place, key string) (*Entry, error) {
	body, err := c.store.Get(ctx, entryAt(place, key))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, mostEntry))
	if err != nil {
		return nil, err
	}
	entry, err := parseEntry(data)
	if err != nil {
		return nil, c.bad("an entry is damaged", "key", key, "error", err.Error())
	}
	return entry, nil
}

// parseEntry takes what lies in the bucket as a stranger's word: another build may have put it there.
func parseEntry(data []byte) (*Entry, error) {
	entry := new(Entry)
	if err := json.Unmarshal(data, entry); err != nil {
		return nil, err
	}
	if _, err := references(entry.Manifest); err != nil {
		return nil, err
	}
	for digest, content := range entry.Blobs {
		if digestOf(content) != digest {
			return nil, errCorrupt
		}
	}
	if entry.BuiltMillis < 0 || entry.BuiltMillis > longestBuild.Milliseconds() {
		entry.BuiltMillis = 0
	}
	return entry, nil
}

func (c *Cache) bad(event string, fields ...any) error {
	c.story.corrupt.Add(1)
	c.log.Say(event, fields...)
	return errCorrupt
}

// fetch gets the blobs that are not in the entry itself.
func (c *Cache) fetch(ctx context.Context, entry *Entry, place string) error {
	named, err := references(entry.Manifest)
	if err != nil {
		return err
	}
	for _, one := range named {
		if _, inside := entry.Blobs[one.Digest]; inside {
			continue
		}
		if err := c.fetchBlob(ctx, one, place); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cache) fetchBlob(ctx context.Context, one descriptor, place string) error {
	defer c.fetching.lock(one.Digest)()
	if file, _ := c.spool.Open(one.Digest, true); file != nil {
		return file.Close()
	}
	err := c.download(ctx, one.Digest, place)
	switch {
	case errors.Is(err, errAbsent):
		c.story.lost.Add(1)
		c.log.Say("a blob is lost", "place", place, "digest", one.Digest)
	case errors.Is(err, errCorrupt):
		err = c.bad("a blob is damaged", "place", place, "digest", one.Digest)
	case errors.Is(err, errSpoolFull):
		c.story.full.Add(1)
		c.log.Say("a blob does not fit into the spool", "digest", one.Digest, "size", one.Size)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken[one.Digest] = errors.Is(err, errAbsent) || errors.Is(err, errCorrupt)
	c.stored[one.Digest] = err == nil && place == c.own
	return err
}

func (c *Cache) download(ctx context.Context, digest, place string) error {
	body, err := c.store.Get(ctx, blobAt(place, digest))
	if err != nil {
		return err
	}
	defer body.Close()
	draft, err := c.spool.Draft()
	if err != nil {
		return err
	}
	defer draft.Drop()
	if _, err := io.Copy(draft, body); err != nil {
		return err
	}
	return draft.Keep(digest, true)
}

// copyForward brings an entry of the previous generation into this one, so that a new generation is no cold day.
func (c *Cache) copyForward(key string, entry *Entry, from string) {
	defer c.background.Done()
	ctx := context.Background()
	named, err := references(entry.Manifest)
	for _, one := range named {
		if _, inside := entry.Blobs[one.Digest]; !inside && err == nil {
			err = c.store.Copy(ctx, blobAt(from, one.Digest), blobAt(c.own, one.Digest), one.Size)
		}
	}
	if err == nil {
		err = c.write(ctx, key, entry)
	}
	if err != nil {
		c.log.Say("an entry was not copied forward", "key", key, "error", err.Error())
	}
}

// finish waits for what is being copied forward.
func (c *Cache) finish(ctx context.Context) {
	done := make(chan struct{})
	go func() { c.background.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (c *Cache) write(ctx context.Context, key string, entry *Entry) error {
	data, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	if len(data) > mostEntry {
		return fmt.Errorf("an entry of %d bytes", len(data))
	}
	sum := digestOf(data)[len("sha256:"):]
	return c.store.Put(ctx, entryAt(c.own, key), bytes.NewReader(data), int64(len(data)), sum)
}

// HasBlob tells whether a blob need not be sent. It need not either when it would only be thrown away.
func (c *Cache) HasBlob(ctx context.Context, digest string) bool {
	c.place()
	c.mu.Lock()
	c.noteBuilt(digest)
	_, small := c.small[digest]
	stored, broken := c.stored[digest], c.broken[digest]
	c.mu.Unlock()
	if small || stored || broken || c.settings.ReadOnly {
		return small || stored
	}
	found, err := c.store.Has(ctx, blobAt(c.own, digest))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.dropped[digest] = true
		return true
	}
	c.stored[digest] = found
	return found
}

// noteBuilt takes the first question about a blob as the end of the instruction that made it.
func (c *Cache) noteBuilt(digest string) {
	if c.last.IsZero() {
		return
	}
	now := c.now()
	c.built[digest] += now.Sub(c.last).Milliseconds()
	c.last = now
}

// AddBlob takes a whole blob from a draft. What S3 does not take is dropped without a word to Kaniko, which would only
// warn of it once for each layer; the entry is then dropped, too.
func (c *Cache) AddBlob(ctx context.Context, digest string, draft *Draft) error {
	c.place()
	size := draft.size
	if err := draft.Keep(digest, false); err != nil {
		return err
	}
	file, _ := c.spool.Open(digest, false)
	if file == nil {
		return errSpoolFull
	}
	defer file.Close()
	if size <= smallest {
		content, err := io.ReadAll(file)
		if err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.addSmall(digest, content) {
			return errSpoolFull
		}
		return nil
	}
	err := c.store.Put(ctx, blobAt(c.own, digest), file, size, digest[len("sha256:"):])
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored[digest] = err == nil
	c.dropped[digest] = err != nil
	c.broken[digest] = c.broken[digest] && err != nil
	return nil
}

func (c *Cache) addSmall(digest string, content []byte) bool {
	if _, there := c.small[digest]; there {
		return true
	}
	if c.smallSize+len(content) > mostSmall {
		// Those of entries long written; a build asks for its own soon after it has been told of them.
		c.small, c.smallSize = map[string][]byte{}, 0
	}
	c.small[digest] = content
	c.smallSize += len(content)
	return c.smallSize <= mostSmall
}

// AddEntry stores a manifest under a key.
func (c *Cache) AddEntry(ctx context.Context, key, mediaType string, manifest []byte) error {
	c.place()
	named, err := references(manifest)
	if err != nil {
		return err
	}
	entry := &Entry{MediaType: mediaType, Manifest: manifest, Blobs: map[string][]byte{}}
	if dropped, err := c.gather(entry, named); err != nil {
		return err
	} else if dropped {
		c.story.dropped.Add(1)
		return nil
	}
	if err := c.write(ctx, key, entry); err != nil {
		c.story.dropped.Add(1)
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remember(key, entry)
	return nil
}

func (c *Cache) remember(key string, entry *Entry) {
	if len(c.known) >= mostKnown {
		clear(c.known)
	}
	c.known[key] = &Entry{MediaType: entry.MediaType, Manifest: entry.Manifest}
}

// gather puts the small blobs into an entry, and tells whether another was dropped.
func (c *Cache) gather(entry *Entry, named []descriptor) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dropped := false
	for _, one := range named {
		entry.BuiltMillis += c.built[one.Digest]
		delete(c.built, one.Digest)
		if content, small := c.small[one.Digest]; small {
			entry.Blobs[one.Digest] = content
			continue
		}
		if !c.stored[one.Digest] && !c.dropped[one.Digest] {
			return false, errUnknownBlob
		}
		dropped = dropped || c.dropped[one.Digest]
	}
	return dropped, nil
}

// Known returns an entry that this pod has read or written.
func (c *Cache) Known(key string) *Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[key]
}

// Small returns a blob that lies in memory; nil where it does not.
func (c *Cache) Small(digest string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.small[digest]
}

// Large returns a blob from the spool, or, where it had to make room, from S3; its size is then not known (-1).
func (c *Cache) Large(ctx context.Context, digest string) (io.ReadCloser, int64, error) {
	c.place()
	if file, size := c.spool.Open(digest, false); file != nil {
		return file, size, nil
	}
	for _, place := range c.places {
		body, err := c.store.Get(ctx, blobAt(place, digest))
		if !errors.Is(err, errAbsent) {
			return body, -1, err
		}
	}
	return nil, 0, errAbsent
}

// keyedLock holds one lock for each key.
type keyedLock struct {
	mu    sync.Mutex
	locks map[string]*sync.Mutex
}

func (k *keyedLock) lock(key string) func() {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*sync.Mutex{}
	}
	if k.locks[key] == nil {
		k.locks[key] = new(sync.Mutex)
	}
	one := k.locks[key]
	k.mu.Unlock()
	one.Lock()
	return one.Unlock
}
