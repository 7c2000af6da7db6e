package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// bucket is an S3 server in memory, with what a real one cannot be asked for: to be silent, full or forbidden at will.
// The cluster tests have a real one.
type bucket struct {
	*httptest.Server
	mu      sync.Mutex
	objects map[string][]byte
	asked   []string
	// answer, when set, may answer a request in place of the bucket; it tells whether it did.
	answer atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
}

func newBucket(t *testing.T) *bucket {
	b := &bucket{objects: map[string][]byte{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(func() { b.CloseClientConnections(); b.Close() })
	return b
}

func (b *bucket) fault(answer func(w http.ResponseWriter, r *http.Request) bool) {
	b.answer.Store(&answer)
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.URL.Path, "/layers/")
	b.mu.Lock()
	b.asked = append(b.asked, r.Method+" "+key)
	b.mu.Unlock()
	if answer := b.answer.Load(); answer != nil && (*answer)(w, r) {
		return
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		b.objects[key] = b.objects[strings.TrimPrefix(r.Header.Get("X-Amz-Copy-Source"), "layers/")]
		fmt.Fprint(w, `<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>`)
	case r.Method == http.MethodPut:
		sum := sha256.Sum256(content)
		if r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
			s3Error(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch")
			return
		}
		b.objects[key] = content
	case b.objects[key] == nil:
		s3Error(w, http.StatusNotFound, "NoSuchKey")
	default:
		w.Write(b.objects[key])
	}
}

func s3Error(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
}

// requests returns what the bucket was asked since the last call.
func (b *bucket) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := b.asked
	b.asked = nil
	return asked
}

func (b *bucket) keys(part string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []string
	for key := range b.objects {
		if strings.Contains(key, part) {
			found = append(found, key)
		}
	}
	return found
}

func (b *bucket) change(part string, change func(content []byte) []byte) {
	for _, key := range b.keys(part) {
		b.mu.Lock()
		b.objects[key] = change(b.objects[key])
		b.mu.Unlock()
	}
}

// pod is a registry in a pod of its own, spoken to as Kaniko does.
type pod struct {
	*httptest.Server
	t     *testing.T
	cache *Cache
}

const week = 7 * 24 * 3600

var thatDay = time.Unix(1_800_000_000, 0)

func impatient(s *Settings) { s.PatienceSeconds = 1 }

func settingsFor(b *bucket, t *testing.T) Settings {
	return Settings{
		Listen: "127.0.0.1:0", Bucket: "layers", Region: "r", Endpoint: b.URL, PathStyle: true, Prefix: "cache/a",
		GenerationSeconds: week, Spool: t.TempDir(), SpoolBytes: 8 << 20,
		// A machine that is slow at this moment is no slow S3.
		PatienceSeconds: 300,
	}
}

func newPod(t *testing.T, b *bucket, change ...func(*Settings)) *pod {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	settings := settingsFor(b, t)
	for _, one := range change {
		one(&settings)
	}
	spool, err := newSpool(settings.Spool+"/layers", settings.SpoolBytes)
	if err != nil {
		t.Fatal(err)
	}
	budget, story := newBudget(time.Duration(settings.PatienceSeconds)*time.Second), new(Story)
	store, err := newStore(t.Context(), settings, budget, story, &Log{quiet})
	if err != nil {
		t.Fatal(err)
	}
	cache := newCache(settings, store, spool, story, &Log{quiet})
	cache.now = func() time.Time { return thatDay }
	server := httptest.NewServer(newRegistry(cache, budget).routes(repository))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return &pod{server, t, cache}
}

func (p *pod) do(method, path string, body []byte, header ...string) (int, []byte, http.Header) {
	p.t.Helper()
	request, _ := http.NewRequest(method, p.URL+path, strings.NewReader(string(body)))
	for at := 0; at+1 < len(header); at += 2 {
		request.Header.Set(header[at], header[at+1])
	}
	answer, err := p.Client().Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, content, answer.Header
}

func (p *pod) upload(content []byte) {
	p.t.Helper()
	if status, _, _ := p.do("HEAD", "/v2/layers/blobs/"+digestOf(content), nil); status == http.StatusOK {
		return
	}
	_, _, header := p.do("POST", "/v2/layers/blobs/uploads/?mount=x&from=y", nil)
	place := header.Get("Location")
	if status, _, _ := p.do("PATCH", place, content); status != http.StatusAccepted {
		p.t.Fatalf("PATCH: %d", status)
	}
	if status, text, _ := p.do("PUT", place+"?digest="+digestOf(content), nil); status != http.StatusCreated {
		p.t.Fatalf("PUT: %d %s", status, text)
	}
}

// push stores an image of one layer under a key.
func (p *pod) push(key string, layer []byte) int {
	p.t.Helper()
	image := []byte(`{"created":"2026-11-25"}`)
	p.upload(layer)
	p.upload(image)
	status, _, _ := p.do("PUT", "/v2/layers/manifests/"+key, manifestOf(image, layer), "Content-Type", "application/m")
	return status
}

func manifestOf(image, layer []byte) []byte {
	return fmt.Appendf(nil, `{"config":{"digest":%q,"size":%d},"layers":[{"digest":%q,"size":%d}]}`,
		digestOf(image), len(image), digestOf(layer), len(layer))
}

// has tells whether a key is a hit, and then requires that its layer can be read.
func (p *pod) has(key string, layer []byte) bool {
	p.t.Helper()
	status, _, _ := p.do("GET", "/v2/layers/manifests/"+key, nil)
	if status == http.StatusOK {
		if got, content, _ := p.do("GET", "/v2/layers/blobs/"+digestOf(layer), nil); got != 200 || string(content) != string(layer) {
			p.t.Fatalf("a hit without its layer: %d", got)
		}
	}
	return status == http.StatusOK
}

func (p *pod) story() []int {
	p.t.Helper()
	_, text, _ := p.do("GET", "/driver/story", nil)
	numbers := make([]int, 12)
	into := make([]any, len(numbers))
	for at := range numbers {
		into[at] = &numbers[at]
	}
	if _, err := fmt.Sscan(string(text), into...); err != nil {
		p.t.Fatalf("%q: %v", text, err)
	}
	return numbers
}

func large(seed byte) []byte {
	content := make([]byte, 200_000)
	for at := range content {
		content[at] = byte(at) * seed
	}
	return content
}
