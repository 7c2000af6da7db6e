package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Whoever runs a build is root beside the cache registry and may send it anything; and what another build has left in
// the bucket is just as much a stranger's word.

func TestNamesThatLeadElsewhereReachNoObject(t *testing.T) {
	b := newBucket(t)
	one := newPod(t, b, func(s *Settings) { s.AlsoRead = "cache/a/protected" })
	newPod(t, b).push(key, large(1))
	b.requests()
	for _, path := range []string{
		"/v2/layers/manifests/..%2f..%2fprotected%2f2976%2fentries%2f" + key,
		"/v2/layers/manifests/.." + key, "/v2/layers/manifests/%00", "/v2/layers/manifests/" + strings.Repeat("k", 200),
		"/v2/layers/..%2fprotected/manifests/" + key, "/v2/layers/protected/manifests/" + key,
		"/v2/layers/blobs/sha256:..%2f" + strings.Repeat("a", 61), "/v2/layers/blobs/sha256:" + strings.Repeat("A", 64),
		"/v2/layers/blobs/md5:" + strings.Repeat("a", 64), "/v2/other/manifests/" + key, "/v2/../layers/manifests/x",
	} {
		for _, method := range []string{"GET", "PUT"} {
			if status, _, _ := one.do(method, path, manifestOf([]byte("{}"), nil)); status < 400 {
				t.Fatalf("%s %s: %d", method, path, status)
			}
		}
	}
	if asked := b.requests(); len(asked) != 0 {
		t.Fatalf("%v", asked)
	}
}

func TestAnUploadOfABadDigestOrOfAnotherOrderIsNeverABlob(t *testing.T) {
	b := newBucket(t)
	one := newPod(t, b)
	whole := large(3)
	start := func() string {
		_, _, header := one.do("POST", "/v2/layers/blobs/uploads/", nil)
		return header.Get("Location")
	}
	for _, digest := range []string{"", "sha256:", "sha256:../../x", "sha512:" + strings.Repeat("a", 64), digestOf(large(4))} {
		if status, _, _ := one.do("PUT", start()+"?digest="+url.QueryEscape(digest), whole); status != http.StatusBadRequest {
			t.Fatalf("%q: %d", digest, status)
		}
	}
	place := start()
	one.do("PATCH", place, whole[100_000:], "Content-Range", "100000-199999")
	one.do("PATCH", place, whole[:100_000], "Content-Range", "0-99999")
	if status, _, _ := one.do("PUT", place+"?digest="+digestOf(whole), nil); status != http.StatusBadRequest {
		t.Fatalf("halves in the wrong order: %d", status)
	}
	if status, _, _ := one.do("PATCH", "/v2/layers/blobs/uploads/..%2f..%2fx", whole); status != http.StatusNotFound {
		t.Fatalf("an upload that nobody began: %d", status)
	}
	if left := b.keys(""); len(left) != 0 || one.cache.spool.used != 0 {
		t.Fatalf("%v, %d bytes", left, one.cache.spool.used)
	}
}

func TestUploadsThatNobodyEndsDoNotBlockLaterOnes(t *testing.T) {
	b := newBucket(t)
	one := newPod(t, b)
	for range 3 * mostUploads {
		if status, _, header := one.do("POST", "/v2/layers/blobs/uploads/", nil); status == http.StatusAccepted {
			one.do("PATCH", header.Get("Location"), large(2)[:1000])
		}
	}
	if status := one.push(key, large(1)); status != http.StatusCreated || !newPod(t, b).has(key, large(1)) {
		t.Fatalf("%d", status)
	}
	if files, _ := filepath.Glob(filepath.Join(one.cache.spool.folder, "draft-*")); len(files) > mostUploads {
		t.Fatalf("%d files", len(files))
	}
}

func TestHundredsOfUploadsAtOnceLeaveTheSpoolAsItWas(t *testing.T) {
	one := newPod(t, newBucket(t), func(s *Settings) { s.SpoolBytes = 3 << 20 })
	var all sync.WaitGroup
	for number := range 200 {
		all.Go(func() {
			_, _, header := one.do("POST", "/v2/layers/blobs/uploads/", nil)
			one.do("PATCH", header.Get("Location"), large(byte(number)))
			one.do("DELETE", header.Get("Location"), nil)
		})
	}
	all.Wait()
	if used := one.cache.spool.used; used != 0 {
		t.Fatalf("%d bytes are lost", used)
	}
}

func TestAManifestThatNamesAThousandBlobsIsNeitherTakenNorFollowed(t *testing.T) {
	b := newBucket(t)
	layers := strings.Repeat(fmt.Sprintf(`{"digest":%q},`, digestOf(large(1))), 1000)
	manifest := fmt.Appendf(nil, `{"config":{"digest":%q},"layers":[%s]}`, digestOf(nil), strings.TrimSuffix(layers, ","))
	one := newPod(t, b)
	one.upload(large(1))
	if status, _, _ := one.do("PUT", "/v2/layers/manifests/"+key, manifest); status != http.StatusBadRequest {
		t.Fatalf("%d", status)
	}
	one.push(key, large(1))
	b.change("/entries/", func([]byte) []byte {
		data, _ := json.Marshal(Entry{Manifest: manifest})
		return data
	})
	b.requests()
	second := newPod(t, b)
	if asked := b.requests(); second.has(key, large(1)) || len(asked) > 2 {
		t.Fatalf("%v", asked)
	}
}

func TestAnEntryCannotSpoilTheSumOfWhatWasSaved(t *testing.T) {
	b := newBucket(t)
	for number := range 3 {
		newPod(t, b).push(fmt.Sprint(key, number), large(1))
	}
	for _, lie := range []int64{math.MaxInt64, math.MinInt64} {
		b.change("/entries/", func(old []byte) []byte {
			var entry Entry
			json.Unmarshal(old, &entry)
			entry.BuiltMillis = lie
			data, _ := json.Marshal(entry)
			return data
		})
		reader := newPod(t, b)
		for number := range 3 {
			reader.has(fmt.Sprint(key, number), large(1))
		}
		if story := reader.story(); story[0] != 3 || story[10] != 0 {
			t.Fatalf("%v", story)
		}
	}
}

func TestAVariantHasEntriesOfItsOwnAndSharesTheBlobs(t *testing.T) {
	b := newBucket(t)
	one := newPod(t, b)
	one.push(key, large(1))
	image, variant := []byte(`{"created":"2026-11-25"}`), "/v2/layers/0123456789abcdef/"
	if status, _, _ := one.do("GET", variant+"manifests/"+key, nil); status != http.StatusNotFound {
		t.Fatalf("a layer of other flags: %d", status)
	}
	_, _, header := one.do("POST", variant+"blobs/uploads/", nil)
	if status, _, _ := one.do("PUT", header.Get("Location")+"?digest="+digestOf(large(2)), large(2)); status != http.StatusCreated {
		t.Fatalf("%d", status)
	}
	if status, _, _ := one.do("PUT", variant+"manifests/"+key, manifestOf(image, large(2))); status != http.StatusCreated {
		t.Fatalf("%d", status)
	}
	second := newPod(t, b)
	if !second.has(key, large(1)) {
		t.Fatal("the plain entry was replaced")
	}
	if status, found, _ := second.do("GET", variant+"manifests/"+key, nil); status != 200 || !strings.Contains(string(found), digestOf(large(2))) {
		t.Fatalf("%d %s", status, found)
	}
	if status, content, _ := second.do("GET", variant+"blobs/"+digestOf(large(2)), nil); status != 200 || len(content) != len(large(2)) {
		t.Fatalf("%d", status)
	}
}

func TestARefusalIsJSONWhateverItQuotes(t *testing.T) {
	one := newPod(t, newBucket(t))
	_, text, _ := one.do("PUT", "/v2/layers/manifests/"+key, []byte(`{"config":{"digest":"\u0000\u001b<é\\\""},"layers":[]}`))
	if !json.Valid(text) || !strings.Contains(string(text), "MANIFEST_INVALID") {
		t.Fatalf("%q", text)
	}
}

func FuzzManifests(f *testing.F) {
	f.Add(manifestOf([]byte("{}"), large(1)))
	f.Add([]byte(`{"config":null}`))
	f.Add([]byte(`{"config":{"digest":"sha256:"},"layers":[{}]}`))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		named, err := references(manifest)
		if err != nil {
			return
		}
		if len(named) == 0 || len(named) > mostNamed {
			t.Fatalf("%d blobs", len(named))
		}
		for _, one := range named {
			if blob := blobAt("p/1", one.Digest); filepath.Dir(blob) != "p/1/blobs" || filepath.Clean(blob) != blob {
				t.Fatalf("%q", blob)
			}
		}
	})
}

func FuzzPaths(f *testing.F) {
	f.Add("manifests", key, "")
	f.Add("manifests", "../"+key, "0123456789abcdef")
	f.Add("blobs", digestOf(nil), "..")
	f.Fuzz(func(t *testing.T, kind, name, variant string) {
		mux := http.NewServeMux()
		look := func(_ http.ResponseWriter, request *http.Request) {
			name, fits := entryKey(request)
			if place := entryAt("p/1", name); fits && (filepath.Dir(place) != "p/1/entries" || filepath.Clean(place) != place) {
				t.Fatalf("%q", place)
			}
		}
		mux.HandleFunc("GET /v2/layers/manifests/{key}", look)
		mux.HandleFunc("GET /v2/layers/{variant}/manifests/{key}", look)
		path := "/v2/layers/" + url.PathEscape(variant) + "/" + url.PathEscape(kind) + "/" + url.PathEscape(name)
		request, err := http.NewRequest(http.MethodGet, path, nil)
		if err != nil {
			return
		}
		mux.ServeHTTP(httptest.NewRecorder(), request)
	})
}

func FuzzEntries(f *testing.F) {
	good, _ := json.Marshal(Entry{Manifest: manifestOf([]byte("{}"), nil), Blobs: map[string][]byte{digestOf([]byte("{}")): []byte("{}")}})
	f.Add(good)
	f.Add([]byte(`{"manifest":"e30=","built_millis":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entry, err := parseEntry(data)
		if err != nil {
			return
		}
		for digest, content := range entry.Blobs {
			if digestOf(content) != digest {
				t.Fatalf("%s", digest)
			}
		}
		if entry.BuiltMillis < 0 {
			t.Fatalf("%d ms", entry.BuiltMillis)
		}
	})
}
