//! What permessage-deflate saves on a chat stream, and what that costs.
//!
//! `cargo run --release -p hubbub-websocket --example deflate_savings [LEVEL]`
//!
//! The stream is what one member of eight conversations receives: `message` events of this server, with
//! generated Chinese and English text. It is the same in every run. Bytes are those on the wire, frame
//! headers included; the time is that of the thread on its CPU. Messages that would not become shorter
//! are counted as sent plain, as the server does it.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends by panicking")]

use std::fmt::Write;

use hubbub_websocket::OpCode;
use hubbub_websocket::deflate::{Deflater, History, Inflater, Level, WindowBits};
use hubbub_websocket::frame::{server_header, write_frame};

const MESSAGES: usize = 20_000;
const MESSAGE_BYTES_MAX: usize = 1 << 20;

const ENGLISH: &str = "the to I you a and it is that in of we for on me be not have do can so this but \
    what just ok at if with are my was will know like get your about now think all time they there \
    good when how no see one up go yes from or out as then meeting tomorrow today report server \
    please thanks later lunch deploy branch review coffee train ticket budget client design draft \
    release weekend already still maybe really could should would need want send check call back \
    office morning evening minutes finished broken numbers table screen picture question answer \
    family birthday doctor rain station airport invoice contract supplier warehouse shipping delay";
const CHINESE: &str = "的 了 我 你 是 在 不 好 有 这 就 吗 吧 都 也 要 会 到 去 说 看 来 我们 今天 明天 现在 什么 可以 \
    一下 没有 时间 知道 怎么 还是 已经 觉得 开会 下班 吃饭 公司 客户 项目 报告 数据 服务器 测试 上线 问题 \
    周末 天气 地铁 机票 预算 合同 设计 图片 电话 谢谢 辛苦 收到 稍等 马上 晚上 早上 下午 老师 孩子 医院 快递 \
    仓库 发票 航班 下雨 生日 回家 路上 堵车 咖啡 奶茶 火锅 电影 照片 链接 文件 版本 接口 日志 重启 修改 确认";

/// Xorshift64* (Vigna, 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 32) as usize * bound) >> 32
    }

    /// A word of the list, the first ones more often than the last ones.
    fn word<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let (a, b) = (self.below(words.len() + 1), self.below(words.len()));
        words[a.min(b)]
    }
}

/// The payloads, in order.
fn stream() -> Vec<Vec<u8>> {
    let english: Vec<&str> = ENGLISH.split_whitespace().collect();
    let chinese: Vec<&str> = CHINESE.split_whitespace().collect();
    let users = ["alice", "bob", "chen.wei", "dmitri", "li.na", "marta", "wang.fang", "zhao"];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut at = 1_763_596_802_417_u64;
    let mut seqs = [1_u64; 8];
    let mut out = Vec::new();
    for id in 0..MESSAGES {
        at += random.next() >> 50;
        let place = random.below(8);
        seqs[place] += 1;
        let from = users[random.below(8)];
        let (conversation, to) = if place < 5 {
            (format!("direct:{from}:yang.jie"), "user:yang.jie".to_owned())
        } else {
            (format!("group:g-{}", place * 7919), format!("group:g-{}", place * 7919))
        };
        let mut text = String::new();
        let is_chinese = random.below(2) == 0;
        for _ in 0..3 + random.below(6) * random.below(8) {
            if is_chinese {
                text += random.word(&chinese);
                if random.below(7) == 0 {
                    text += "，";
                }
            } else {
                let _ = write!(text, "{} ", random.word(&english));
            }
        }
        let (high, low) = (random.next(), random.next());
        let payload = format!(
            "{{\"type\":\"message\",\"id\":\"{message}\",\"timestamp\":{now},\"payload\":{{\
             \"conversation\":\"{conversation}\",\"seq\":{seq},\"message_id\":\"{message}\",\
             \"from\":\"{from}\",\"to\":\"{to}\",\"kind\":\"text\",\"content\":\"{text}\",\
             \"client_id\":\"{time:08x}-{time_low:04x}-7{a:03x}-8{b:03x}-{c:012x}\",\"at\":{at},\"attempt\":1}}}}",
            message = 48_000 + id,
            now = at + 2,
            seq = seqs[place],
            text = text.trim_end(),
            time = at >> 16,
            time_low = at & 0xffff,
            a = high & 0xfff,
            b = high >> 52,
            c = low >> 16,
        );
        out.push(payload.into_bytes());
    }
    out
}

/// Nanoseconds that this thread has spent on a CPU.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// One row of the table.
struct Row {
    name: String,
    /// On the wire.
    bytes: usize,
    compress_ns: u64,
    inflate_ns: u64,
    /// What a connection owns on this side for it.
    owned: usize,
}

fn print(row: &Row, plain_bytes: usize) {
    let per_message = |n: u64| n as f64 / MESSAGES as f64;
    println!(
        "{:32} {:>8.0} {:>7.1}% {:>10.2} {:>10.2} {:>9}",
        row.name,
        per_message(row.bytes as u64),
        100.0 - 100.0 * row.bytes as f64 / plain_bytes as f64,
        per_message(row.compress_ns) / 1000.0,
        per_message(row.inflate_ns) / 1000.0,
        row.owned,
    );
}

fn framed(len: usize) -> usize {
    server_header(OpCode::Text, len).len() + len
}

fn plain(messages: &[Vec<u8>]) -> Row {
    let mut out = Vec::new();
    let mut bytes = 0;
    let start = cpu_ns();
    for message in messages {
        out.clear();
        write_frame(&mut out, true, OpCode::Text, None, message);
        bytes += out.len();
    }
    Row { name: "plain".into(), bytes, compress_ns: cpu_ns() - start, inflate_ns: 0, owned: 0 }
}

/// Each message by itself; `messages` may be several of one tick put together.
fn alone(name: String, messages: &[Vec<u8>], level: Level, window: WindowBits) -> Row {
    let mut deflater = Deflater::new(level);
    let mut packed = Vec::with_capacity(messages.len());
    let start = cpu_ns();
    for message in messages {
        packed.push(deflater.compress(message, window).map(<[u8]>::to_vec));
    }
    let compress_ns = cpu_ns() - start;
    let (bytes, inflate_ns) = inflated(messages, &packed, None);
    Row { name, bytes, compress_ns, inflate_ns, owned: 0 }
}

/// With context takeover. Every message is another connection's turn, as in a fan-out, unless `burst`.
fn takeover(messages: &[Vec<u8>], level: Level, window: WindowBits, burst: bool) -> Row {
    let mut deflater = Deflater::new(level);
    let mut history = History::new(window);
    let mut other = History::new(window);
    let mut packed = Vec::with_capacity(messages.len());
    let mut compress_ns = 0;
    for message in messages {
        if !burst {
            deflater.compress_next(b"{\"type\":\"ack\",\"payload\":{}}", &mut other);
        }
        let start = cpu_ns();
        let compressed = deflater.compress_next(message, &mut history);
        compress_ns += cpu_ns() - start;
        packed.push(compressed.map(<[u8]>::to_vec));
    }
    let (bytes, inflate_ns) = inflated(messages, &packed, Some(History::new(window)));
    let name = format!("takeover, {} bits{}", window.get(), if burst { ", in a row" } else { "" });
    Row { name, bytes, compress_ns, inflate_ns, owned: history.capacity() }
}

/// The bytes on the wire, and the time of a receiver.
fn inflated(
    messages: &[Vec<u8>],
    packed: &[Option<Vec<u8>>],
    mut history: Option<History>,
) -> (usize, u64) {
    let mut inflater = Inflater::new();
    let mut bytes = 0;
    let start = cpu_ns();
    for (message, packed) in messages.iter().zip(packed) {
        bytes += framed(packed.as_ref().unwrap_or(message).len());
        let Some(packed) = packed else { continue };
        let plain = inflater.inflate(packed, MESSAGE_BYTES_MAX, history.as_mut()).unwrap();
        assert_eq!(plain, message);
    }
    (bytes, cpu_ns() - start)
}

fn main() {
    let level = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(6);
    let level = Level::new(level).unwrap_or_default();
    let messages = stream();
    let lens = messages.iter().map(Vec::len);
    println!(
        "{level:?}, {MESSAGES} messages of {} to {} bytes",
        lens.clone().min().unwrap(),
        lens.max().unwrap()
    );
    println!(
        "{:32} {:>8} {:>8} {:>10} {:>10} {:>9}",
        "", "bytes", "saved", "CPU s/M", "inflate", "owned"
    );
    let base = plain(&messages);
    print(&base, base.bytes);
    let show = |row: &Row| print(row, base.bytes);
    show(&alone("no takeover".into(), &messages, level, WindowBits::MAX));
    show(&alone("no takeover, 10 bits".into(), &messages, level, WindowBits::new(10).unwrap()));
    for several in [4, 16, 64] {
        let ticks: Vec<Vec<u8>> = messages.chunks(several).map(|tick| tick.join(&b'\n')).collect();
        show(&alone(
            format!("no takeover, {several} in one message"),
            &ticks,
            level,
            WindowBits::MAX,
        ));
    }
    for bits in [10, 11, 12, 13, 15] {
        let window = WindowBits::new(bits).unwrap();
        for burst in [false, true] {
            show(&takeover(&messages, level, window, burst));
        }
    }
}
