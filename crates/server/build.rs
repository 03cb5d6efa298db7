//! Makes the embedded pages follow the folders they come from, new files included.

fn main() {
    println!("cargo:rerun-if-changed=../../web");
    println!("cargo:rerun-if-changed=../../clients/js/src");
}
