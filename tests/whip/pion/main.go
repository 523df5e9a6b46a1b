// A WHIP publisher and a WHEP player on pion, for tests/integration/test_whip_with_pion.py.
//
//	pion publish URL TOKEN FILE.ivf   sends the VP8 frames of the file in a loop and silence as Opus, until its input ends
//	pion watch URL TOKEN PACKETS      receives so many packets of each of both kinds
//
// One JSON line says when it is connected, one how it ended.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
)

var opusSilence = []byte{0xf8, 0xff, 0xfe}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(mode, url, token, argument string) error {
	engine := webrtc.SettingEngine{}
	engine.SetIncludeLoopbackCandidate(true)
	peer, err := webrtc.NewAPI(webrtc.WithSettingEngine(engine)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return err
	}
	defer peer.Close()
	connected := make(chan struct{})
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	if mode == "publish" {
		return publish(peer, url, token, argument, connected)
	}
	return watch(peer, url, token, argument, connected)
}

func publish(peer *webrtc.PeerConnection, url, token, file string, connected chan struct{}) error {
	video, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "video", "pion")
	if err != nil {
		return err
	}
	audio, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "audio", "pion")
	if err != nil {
		return err
	}
	for _, track := range []webrtc.TrackLocal{audio, video} {
		if _, err := peer.AddTrack(track); err != nil {
			return err
		}
	}
	resource, err := exchange(peer, url, token)
	if err != nil {
		return err
	}
	<-connected
	say("connected", 0)
	stop := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(stop) }()
	frames, err := read(file)
	if err != nil {
		return err
	}
	pictures, sounds := time.NewTicker(time.Second/30), time.NewTicker(time.Second/50)
	defer pictures.Stop()
	defer sounds.Stop()
	for sent := 0; err == nil; {
		select {
		case <-stop:
			return hangUp(resource, token)
		case <-pictures.C:
			err = video.WriteSample(media.Sample{Data: frames[sent%len(frames)], Duration: time.Second / 30})
			sent++
		case <-sounds.C:
			err = audio.WriteSample(media.Sample{Data: opusSilence, Duration: time.Second / 50})
		}
	}
	return err
}

func read(file string) ([][]byte, error) {
	input, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer input.Close()
	reader, _, err := ivfreader.NewWith(input)
	if err != nil {
		return nil, err
	}
	frames := [][]byte{}
	for {
		frame, _, err := reader.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return nil, err
		}
		frames = append(frames, frame)
	}
}

func watch(peer *webrtc.PeerConnection, url, token, packets string, connected chan struct{}) error {
	wanted, err := strconv.Atoi(packets)
	if err != nil {
		return err
	}
	var both sync.WaitGroup
	both.Add(2)
	peer.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for got := 0; got < wanted; got++ {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
		}
		say(track.Codec().MimeType, wanted)
		both.Done()
	})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		receiving := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := peer.AddTransceiverFromKind(kind, receiving); err != nil {
			return err
		}
	}
	resource, err := exchange(peer, url, token)
	if err != nil {
		return err
	}
	<-connected
	say("connected", 0)
	both.Wait()
	return hangUp(resource, token)
}

// exchange posts the offer and takes the answer; the URL of the resource.
func exchange(peer *webrtc.PeerConnection, url, token string) (string, error) {
	offer, err := peer.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(offer); err != nil {
		return "", err
	}
	<-gathered
	answer, body, err := call("POST", url, token, []byte(peer.LocalDescription().SDP))
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("%s: %s", answer.Status, body)
	}
	description := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(body)}
	return answer.Header.Get("Location"), peer.SetRemoteDescription(description)
}

func hangUp(resource, token string) error {
	answer, body, err := call("DELETE", resource, token, nil)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	say("ended", 0)
	return err
}

func call(method, url, token string, content []byte) (*http.Response, []byte, error) {
	request, err := http.NewRequest(method, url, bytes.NewReader(content))
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/sdp")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, body, err
}

func say(what string, packets int) {
	line, _ := json.Marshal(map[string]any{"what": what, "packets": packets})
	fmt.Println(string(line))
}
