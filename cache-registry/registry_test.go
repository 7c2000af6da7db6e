package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

const key = "0123456789abcdef"

func TestWhatOnePodPushesAnotherFinds(t *testing.T) {
	b := newBucket(t)
	for name, layer := range map[string][]byte{"large": large(1), "small": []byte("a small layer")} {
		if status := newPod(t, b).push(key+name, layer); status != http.StatusCreated {
			t.Fatalf("push: %d", status)
		}
		if !newPod(t, b).has(key+name, layer) {
			t.Fatalf("%s: a miss", name)
		}
	}
	if newPod(t, b).has("another", nil) {
		t.Fatal("a hit of what nobody pushed")
	}
}

func TestEverythingLiesBelowPrefixAndGeneration(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	place := fmt.Sprintf("cache/a/%d/", thatDay.Unix()/week)
	if len(b.keys(place)) != 2 || len(b.keys("")) != 2 {
		t.Fatalf("%v", b.keys(""))
	}
}

func TestAHitTakesTwoRequestsAndAPushFour(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	if asked := b.requests(); len(asked) != 4 {
		t.Fatalf("push: %v", asked)
	}
	newPod(t, b).has(key, large(1))
	if asked := b.requests(); len(asked) != 2 {
		t.Fatalf("hit: %v", asked)
	}
	newPod(t, b).has("another", nil)
	if asked := b.requests(); len(asked) != 2 {
		t.Fatalf("miss: %v", asked)
	}
}

func TestAKnownLayerIsNotSentAgain(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	b.requests()
	newPod(t, b).push("another", large(1))
	if asked := b.requests(); len(asked) != 3 || strings.Contains(fmt.Sprint(asked), "PUT cache/a/2976/blobs") {
		t.Fatalf("%v", asked)
	}
}

func TestALostOrDamagedLayerIsAMissAndTheNextPushHealsIt(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"lost":      func([]byte) []byte { return nil },
		"truncated": func(old []byte) []byte { return old[:len(old)/2] },
		"other":     func(old []byte) []byte { return slices.Concat(old[1:], []byte{1}) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBucket(t)
			newPod(t, b).push(key, large(1))
			b.change("/blobs/", change)
			second := newPod(t, b)
			if second.has(key, large(1)) {
				t.Fatal("a hit")
			}
			if story := second.story(); story[2]+story[3] != 1 || story[11] != 0 {
				t.Fatalf("%v", story)
			}
			second.push(key, large(1))
			if !newPod(t, b).has(key, large(1)) {
				t.Fatal("not healed")
			}
		})
	}
}

func TestADamagedEntryIsAMiss(t *testing.T) {
	for _, text := range []string{"", "{", `{"manifest":"e30="}`} {
		b := newBucket(t)
		newPod(t, b).push(key, large(1))
		b.change("/entries/", func([]byte) []byte { return []byte(text) })
		if newPod(t, b).has(key, large(1)) {
			t.Fatalf("a hit: %q", text)
		}
	}
}

func TestAHitNeedsS3NoMore(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	second := newPod(t, b)
	if status, _, _ := second.do("GET", "/v2/layers/manifests/"+key, nil); status != http.StatusOK {
		t.Fatal("a miss")
	}
	b.fault(func(w http.ResponseWriter, _ *http.Request) bool { s3Error(w, 403, "AccessDenied"); return true })
	for range 2 {
		if status, content, _ := second.do("GET", "/v2/layers/blobs/"+digestOf(large(1)), nil); status != 200 || len(content) != 200_000 {
			t.Fatalf("%d", status)
		}
	}
}

func TestTheGenerationBeforeIsReadAndCopiedForward(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	later := newPod(t, b)
	later.cache.now = func() time.Time { return thatDay.Add(week * time.Second) }
	if !later.has(key, large(1)) {
		t.Fatal("the first build of a generation is cold")
	}
	later.cache.background.Wait()
	last := newPod(t, b)
	last.cache.now = func() time.Time { return thatDay.Add(2 * week * time.Second) }
	if !last.has(key, large(1)) {
		t.Fatal("it was not copied forward")
	}
	never := newPod(t, b)
	never.cache.now = func() time.Time { return thatDay.Add(4 * week * time.Second) }
	if never.has(key, large(1)) {
		t.Fatal("two generations ago")
	}
}

func TestTheGenerationIsThatOfTheFirstRequestAndNotOfTheStart(t *testing.T) {
	b := newBucket(t)
	early := newPod(t, b)
	early.cache.now = func() time.Time { return thatDay.Add(week * time.Second) }
	early.push(key, large(1))
	early.cache.now = func() time.Time { return thatDay.Add(2 * week * time.Second) }
	early.push("another", large(1))
	if place := fmt.Sprintf("cache/a/%d/", thatDay.Unix()/week+1); len(b.keys(place)) != 3 {
		t.Fatalf("%v", b.keys(""))
	}
}

func TestAReadOnlyCacheIsReadAndRefusesEveryWrite(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	reader := newPod(t, b, func(s *Settings) { s.ReadOnly = true })
	if !reader.has(key, large(1)) {
		t.Fatal("a miss")
	}
	b.requests()
	for _, one := range []string{"POST /v2/layers/blobs/uploads/", "PATCH /v2/layers/blobs/uploads/1",
		"PUT /v2/layers/blobs/uploads/1?digest=" + digestOf(nil), "PUT /v2/layers/manifests/" + key} {
		method, path, _ := strings.Cut(one, " ")
		if status, text, _ := reader.do(method, path, nil); status != 403 || !strings.Contains(string(text), "DENIED") {
			t.Fatalf("%s: %d %s", one, status, text)
		}
	}
	if status, _, _ := reader.do("HEAD", "/v2/layers/blobs/"+digestOf(large(9)), nil); status != 404 {
		t.Fatal(status)
	}
	if asked := b.requests(); len(asked) != 0 {
		t.Fatalf("%v", asked)
	}
	later := newPod(t, b, func(s *Settings) { s.ReadOnly = true })
	later.cache.now = func() time.Time { return thatDay.Add(week * time.Second) }
	if !later.has(key, large(1)) {
		t.Fatal("a miss in the generation before")
	}
	later.cache.background.Wait()
	for _, asked := range b.requests() {
		if !strings.HasPrefix(asked, "GET ") {
			t.Fatal(asked)
		}
	}
}

func TestASecondPrefixIsReadAndNotWritten(t *testing.T) {
	b := newBucket(t)
	protected := func(s *Settings) { s.Prefix = "cache/a/protected" }
	newPod(t, b, protected).push(key, large(1))
	both := func(s *Settings) { s.AlsoRead = "cache/a/protected" }
	branch := newPod(t, b, both)
	if !branch.has(key, large(1)) {
		t.Fatal("the protected cache is not read")
	}
	// A layer that lies in the other prefix alone is not kept by an entry of this one.
	branch.push("own", large(1))
	if len(b.keys(fmt.Sprintf("cache/a/%d/blobs/", thatDay.Unix()/week))) != 1 {
		t.Fatalf("%v", b.keys(""))
	}
	branch.push("forged", large(2))
	if newPod(t, b, protected).has("forged", large(2)) {
		t.Fatal("a branch wrote into the protected cache")
	}
	later := newPod(t, b, both)
	later.cache.now = func() time.Time { return thatDay.Add(week * time.Second) }
	if !later.has(key, large(1)) {
		t.Fatal("the generation before is not read there")
	}
}

func TestKeysThatMayListTheirOwnPrefixAloneMissAndDoNotFail(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	b.fault(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("list-type") == "2" {
			fmt.Fprint(w, "<ListBucketResult></ListBucketResult>")
			return true
		}
		known := len(b.keys(strings.TrimPrefix(r.URL.Path, "/layers/"))) > 0
		if !known && r.Method != http.MethodPut {
			s3Error(w, 403, "AccessDenied")
		}
		return !known && r.Method != http.MethodPut
	})
	second := newPod(t, b)
	if second.has("another", nil) || !second.has(key, large(1)) {
		t.Fatal("a miss must be one, and a hit one")
	}
	second.push("another", large(2))
	if !newPod(t, b).has("another", large(2)) || second.story()[11] != 0 {
		t.Fatal("not stored")
	}
}

func TestEveryFailureOfS3IsAColdBuildWithAReason(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	answer := func(status int, code string) func(w http.ResponseWriter, _ *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { s3Error(w, status, code); return true }
	}
	for name, fault := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request) bool
		reason Reason
	}{
		"silent": {func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
			return true
		}, reasonSlow},
		"forbidden": {answer(403, "AccessDenied"), reasonForbidden},
		"unknown":   {answer(401, "Unauthorized"), reasonForbidden},
		"no bucket": {answer(404, "NoSuchBucket"), reasonNoBucket},
		"broken":    {answer(500, "InternalError"), reasonFailed},
		"down": {func(w http.ResponseWriter, _ *http.Request) bool {
			connection, _, _ := w.(http.Hijacker).Hijack()
			connection.Close()
			return true
		}, reasonUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBucket(t)
			newPod(t, b).push(key, large(1))
			b.fault(fault.answer)
			second := newPod(t, b, impatient)
			began := time.Now()
			for number := range 5 {
				if second.has(fmt.Sprint(key, number), nil) {
					t.Fatal("a hit")
				}
				if status := second.push(fmt.Sprint(key, number), large(byte(number+2))); status != http.StatusCreated {
					t.Fatalf("a push that Kaniko would warn of: %d", status)
				}
			}
			// The patience is a second, and retries wait a little; each of ten requests alone would wait for ever.
			if took := time.Since(began); took > time.Minute {
				t.Fatalf("%v", took)
			}
			story := second.story()
			if story[0] != 0 || story[1] != 5 || story[6] != 5 || Reason(story[11]) != fault.reason {
				t.Fatalf("%v", story)
			}
		})
	}
}

func TestOneFailureIsTriedAgainAndNoReasonToGiveUp(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	failed := false
	b.fault(func(w http.ResponseWriter, _ *http.Request) bool {
		if failed {
			return false
		}
		failed = true
		s3Error(w, http.StatusServiceUnavailable, "SlowDown")
		return true
	})
	if !newPod(t, b).has(key, large(1)) {
		t.Fatal("a miss")
	}
}

func TestS3ThatRefusesIsNotAskedAgain(t *testing.T) {
	b := newBucket(t)
	b.fault(func(w http.ResponseWriter, _ *http.Request) bool { s3Error(w, 403, "AccessDenied"); return true })
	p := newPod(t, b)
	p.has(key, nil)
	p.push(key, large(1))
	b.requests()
	p.has(key+"x", nil)
	p.push(key+"x", large(2))
	if asked := b.requests(); len(asked) != 0 {
		t.Fatalf("%v", asked)
	}
}

func TestAServerThatShowsNoTrustedCertificateIsNotSpokenTo(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	secure := httptest.NewTLSServer(b)
	defer secure.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	for name, ca := range map[string]string{"trusted": string(authority), "unknown": ""} {
		p := newPod(t, b, func(s *Settings) { s.Endpoint, s.CA = secure.URL, ca })
		if p.has(key, large(1)) != (name == "trusted") {
			t.Fatal(name)
		}
	}
}

func TestAClientThatGoesAwayIsNoFailureOfS3(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	ctx, leave := context.WithCancel(t.Context())
	b.fault(func(_ http.ResponseWriter, r *http.Request) bool {
		leave()
		<-r.Context().Done()
		return true
	})
	p := newPod(t, b)
	request, _ := http.NewRequestWithContext(ctx, "GET", p.URL+"/v2/layers/manifests/"+key, nil)
	if _, err := p.Client().Do(request); err == nil {
		t.Fatal("an answer")
	}
	b.fault(func(http.ResponseWriter, *http.Request) bool { return false })
	if !p.has(key, large(1)) {
		t.Fatal("the cache was given up")
	}
}

func TestTheSpoolHoldsABlobOnceAndKeepsItsPromise(t *testing.T) {
	folder := t.TempDir() + "/layers"
	spool, err := newSpool(folder, 1200)
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 600)
	for _, promised := range []bool{true, false} {
		draft, _ := spool.Draft()
		draft.Write(content)
		if err := draft.Keep(digestOf(content), promised); err != nil {
			t.Fatal(err)
		}
	}
	abandoned, _ := spool.Draft()
	abandoned.Write(content[:100])
	abandoned.Drop()
	if files, _ := os.ReadDir(folder); spool.used != 600 || len(files) != 1 || !spool.blobs[digestOf(content)].promised {
		t.Fatalf("%d bytes, %v", spool.used, files)
	}
}

func TestTheRoleOfTheNodeIsNobodysHere(t *testing.T) {
	asked := false
	node := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer node.Close()
	b := newBucket(t)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", node.URL)
	p := newPod(t, b, func(*Settings) { os.Unsetenv("AWS_ACCESS_KEY_ID"); os.Unsetenv("AWS_SECRET_ACCESS_KEY") })
	if p.has(key, nil) || asked || len(b.requests()) != 0 {
		t.Fatal("keys were asked for where they are the node's")
	}
	if story := p.story(); Reason(story[11]) != reasonNoKeys {
		t.Fatalf("%v", story)
	}
}

func TestABucketThatTakesNoMoreIsStillRead(t *testing.T) {
	for name, status := range map[string]int{"InsufficientStorage": 507, "QuotaExceeded": 403, "XMinioStorageFull": 507} {
		t.Run(name, func(t *testing.T) {
			b := newBucket(t)
			newPod(t, b).push(key, large(1))
			b.fault(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut {
					s3Error(w, status, name)
				}
				return r.Method == http.MethodPut
			})
			second := newPod(t, b)
			second.push("another", large(2))
			if !second.has(key, large(1)) {
				t.Fatal("a miss")
			}
			if story := second.story(); Reason(story[11]) != reasonFull || story[6] != 1 {
				t.Fatalf("%v", story)
			}
		})
	}
}

func TestS3ThatFallsSilentInTheMiddleOfALayerIsAMiss(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	b.fault(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		w.Header().Set("Content-Length", "200000")
		w.Write(large(1)[:1000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	if newPod(t, b, impatient).has(key, large(1)) {
		t.Fatal("a hit")
	}
}

func TestOneSlowRequestAmongManyQuickOnesIsPaidFor(t *testing.T) {
	budget := newBudget(200 * time.Millisecond)
	ctx, slow, _ := budget.Begin(context.Background())
	defer slow.End()
	for range 200 {
		_, quick, _ := budget.Begin(context.Background())
		quick.Moved(1 << 40)
		defer quick.End()
	}
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the slow one goes on")
	}
}

func TestARequestThatHasEndedCostsNoMorePatience(t *testing.T) {
	budget := newBudget(time.Millisecond)
	_, call, _ := budget.Begin(context.Background())
	call.End()
	for watched := true; watched; time.Sleep(tick) {
		budget.mu.Lock()
		watched = budget.watched
		budget.mu.Unlock()
	}
	if budget.Spent() {
		t.Fatal("nobody waits for S3 any more")
	}
}

func TestALayerThatTheSpoolHasNoRoomForIsAMissAndItsPushIsRefused(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	tiny := newPod(t, b, func(s *Settings) { s.SpoolBytes = 100_000 })
	if tiny.has(key, large(1)) {
		t.Fatal("a hit")
	}
	_, _, header := tiny.do("POST", "/v2/layers/blobs/uploads/", nil)
	if status, _, _ := tiny.do("PATCH", header.Get("Location"), large(1)); status != http.StatusRequestEntityTooLarge {
		t.Fatalf("%d", status)
	}
	if story := tiny.story(); story[7] != 2 {
		t.Fatalf("%v", story)
	}
	if tiny.cache.spool.used != 0 {
		t.Fatalf("%d bytes of drafts are left", tiny.cache.spool.used)
	}
}

func TestPushedLayersMakeRoomAndPromisedOnesStay(t *testing.T) {
	b := newBucket(t)
	newPod(t, b).push(key, large(1))
	one := newPod(t, b, func(s *Settings) { s.SpoolBytes = 500_000 })
	if !one.has(key, large(1)) {
		t.Fatal("a miss")
	}
	for number := range 5 {
		one.push(fmt.Sprint(number), large(byte(number+2)))
	}
	b.fault(func(w http.ResponseWriter, _ *http.Request) bool { s3Error(w, 500, "Down"); return true })
	if status, _, _ := one.do("GET", "/v2/layers/blobs/"+digestOf(large(1)), nil); status != http.StatusOK {
		t.Fatal("what the build was promised is gone")
	}
}

func TestAnUploadThatIsNotWhatItsDigestSaysIsRefused(t *testing.T) {
	b := newBucket(t)
	one := newPod(t, b)
	_, _, header := one.do("POST", "/v2/layers/blobs/uploads/", nil)
	if status, _, _ := one.do("PUT", header.Get("Location")+"?digest="+digestOf(large(1)), large(2)); status != http.StatusBadRequest {
		t.Fatalf("%d", status)
	}
	if len(b.keys("")) != 0 {
		t.Fatalf("%v", b.keys(""))
	}
}

func TestAManifestOfBlobsThatNobodySentIsRefused(t *testing.T) {
	one := newPod(t, newBucket(t))
	status, text, _ := one.do("PUT", "/v2/layers/manifests/"+key, manifestOf([]byte("{}"), large(1)))
	if status != http.StatusBadRequest || !strings.Contains(string(text), "MANIFEST_BLOB_UNKNOWN") {
		t.Fatalf("%d %s", status, text)
	}
}

func TestTwentyPodsAtOnceLoseNothing(t *testing.T) {
	b := newBucket(t)
	var all sync.WaitGroup
	// Made one after another: keys come from the environment, which tests may set only so.
	for number := range 20 {
		one := newPod(t, b, func(s *Settings) { s.PatienceSeconds = 60 })
		all.Go(func() {
			one.push("shared", large(1))
			one.push(fmt.Sprint("own", number), large(byte(number+2)))
		})
	}
	all.Wait()
	reader := newPod(t, b, func(s *Settings) { s.PatienceSeconds = 60 })
	for number := range 20 {
		if !reader.has(fmt.Sprint("own", number), large(byte(number+2))) {
			t.Fatalf("%d is lost", number)
		}
	}
	if !reader.has("shared", large(1)) {
		t.Fatal("the shared one is lost")
	}
}

func TestTheStoryCountsAndBeginsAnew(t *testing.T) {
	b := newBucket(t)
	first := newPod(t, b)
	first.has(key, nil)
	first.push(key, large(1))
	if story := first.story(); story[0] != 0 || story[1] != 1 || story[5] < 200_000 || story[8] != 6 {
		t.Fatalf("%v", story)
	}
	second := newPod(t, b)
	second.has(key, large(1))
	if story := second.story(); story[0] != 1 || story[4] < 200_000 {
		t.Fatalf("%v", story)
	}
	if story := second.story(); !slices.Equal(story, make([]int, 12)) {
		t.Fatalf("%v", story)
	}
}

func TestWhatALayerTookToBuildIsTheTimeThatAHitSaves(t *testing.T) {
	b := newBucket(t)
	builder := newPod(t, b)
	clock := thatDay
	builder.cache.now = func() time.Time { return clock }
	builder.has(key, nil)
	clock = clock.Add(40 * time.Second)
	builder.push(key, large(1))
	clock = clock.Add(5 * time.Second)
	builder.push("next", large(2))
	reader := newPod(t, b)
	reader.has(key, large(1))
	reader.has("next", large(2))
	if saved := reader.story()[10]; saved != 45_000 {
		t.Fatalf("%d ms", saved)
	}
}

func TestItEndsWhenThePodIsNotInUse(t *testing.T) {
	pulse := t.TempDir()
	if !inUse(pulse, time.Minute) {
		t.Fatal("it was touched just now")
	}
	old := time.Now().Add(-2 * time.Minute)
	os.Chtimes(pulse, old, old)
	if inUse(pulse, time.Minute) {
		t.Fatal("nobody touched it")
	}
	os.WriteFile(filepath.Join(pulse, "end"), nil, 0o600)
	if inUse(pulse, time.Minute) {
		t.Fatal("the pod is kept for people")
	}
}

func TestSettingsThatItDoesNotUnderstandAreRefused(t *testing.T) {
	good := `{"listen":"127.0.0.1:5407","bucket":"b","prefix":"p","generation_seconds":1,"spool":"/s","spool_bytes":1,"patience_seconds":1}`
	if _, err := parseSettings(good); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{}", strings.Replace(good, "127.0.0.1", "0.0.0.0", 1),
		strings.Replace(good, "{", `{"new":1,`, 1), strings.Replace(good, `"bucket":"b"`, `"bucket":""`, 1)} {
		if _, err := parseSettings(text); err == nil {
			t.Fatalf("taken: %s", text)
		}
	}
}
